CREATE TABLE "emergency_stops" (
	"id" uuid PRIMARY KEY NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"by" text NOT NULL,
	"reason" text NOT NULL,
	"roll_back" boolean NOT NULL,
	"released_at" timestamp with time zone,
	"released_by" text
);
--> statement-breakpoint
CREATE TABLE "freezes" (
	"id" uuid PRIMARY KEY NOT NULL,
	"reason" text NOT NULL,
	"window" jsonb NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "assignments" ADD COLUMN "mode" text DEFAULT 'enforce' NOT NULL;--> statement-breakpoint
ALTER TABLE "nodes" ADD COLUMN "totals" jsonb;--> statement-breakpoint
ALTER TABLE "nodes" ADD COLUMN "marks" jsonb;--> statement-breakpoint
ALTER TABLE "rollout_decisions" ADD COLUMN "signals" jsonb;--> statement-breakpoint
ALTER TABLE "rollout_decisions" ADD COLUMN "evidence" jsonb;--> statement-breakpoint
ALTER TABLE "rollout_nodes" ADD COLUMN "installed_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "rollout_nodes" ADD COLUMN "watch" jsonb;--> statement-breakpoint
ALTER TABLE "rollouts" ADD COLUMN "mode" text DEFAULT 'enforce' NOT NULL;--> statement-breakpoint
ALTER TABLE "rollouts" ADD COLUMN "domains" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "rollouts" ADD COLUMN "settle" text DEFAULT '0s' NOT NULL;--> statement-breakpoint
ALTER TABLE "rollouts" ADD COLUMN "gate" jsonb DEFAULT '{"compare":"available","alpha":0.01,"askAfter":"1h"}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "rollouts" ADD COLUMN "start_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "rollouts" ADD COLUMN "approved_step" integer DEFAULT -1 NOT NULL;--> statement-breakpoint
ALTER TABLE "rollouts" ADD COLUMN "asks" text;--> statement-breakpoint
ALTER TABLE "rollouts" ADD COLUMN "roll_back_to" integer;--> statement-breakpoint
CREATE UNIQUE INDEX "emergency_stops_one" ON "emergency_stops" USING btree ((true)) WHERE "emergency_stops"."released_at" is null;