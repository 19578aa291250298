CREATE SEQUENCE "public"."shared_verdict_sequence" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
CREATE TABLE "shared_verdict_answers" (
	"verdict" uuid NOT NULL,
	"node" uuid NOT NULL,
	"because" text,
	"at" timestamp with time zone NOT NULL,
	CONSTRAINT "shared_verdict_answers_verdict_node_pk" PRIMARY KEY("verdict","node")
);
--> statement-breakpoint
CREATE TABLE "shared_verdict_claims" (
	"verdict" uuid NOT NULL,
	"node" uuid NOT NULL,
	"at" timestamp with time zone NOT NULL,
	CONSTRAINT "shared_verdict_claims_verdict_node_pk" PRIMARY KEY("verdict","node")
);
--> statement-breakpoint
CREATE TABLE "shared_verdicts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"shape" text NOT NULL,
	"dialect" text NOT NULL,
	"text" text NOT NULL,
	"rule" text NOT NULL,
	"rule_set" text NOT NULL,
	"version" integer NOT NULL,
	"source" uuid NOT NULL,
	"judged_at" timestamp with time zone NOT NULL,
	"claimed_at" timestamp with time zone NOT NULL,
	"because" text,
	"issued_at" timestamp with time zone,
	"expires_at" timestamp with time zone,
	"ended_at" timestamp with time zone,
	"ended_by" text,
	"sequence" bigint,
	"envelope" jsonb,
	CONSTRAINT "shared_verdicts_sequence_unique" UNIQUE("sequence")
);
--> statement-breakpoint
CREATE TABLE "sharing_stops" (
	"id" uuid PRIMARY KEY NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"by" text NOT NULL,
	"reason" text NOT NULL,
	"released_at" timestamp with time zone,
	"released_by" text
);
--> statement-breakpoint
ALTER TABLE "nodes" ADD COLUMN "immunity" jsonb;--> statement-breakpoint
ALTER TABLE "rule_versions" ADD COLUMN "delegation" jsonb;--> statement-breakpoint
ALTER TABLE "shared_verdict_answers" ADD CONSTRAINT "shared_verdict_answers_verdict_shared_verdicts_id_fk" FOREIGN KEY ("verdict") REFERENCES "public"."shared_verdicts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "shared_verdict_answers" ADD CONSTRAINT "shared_verdict_answers_node_nodes_id_fk" FOREIGN KEY ("node") REFERENCES "public"."nodes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "shared_verdict_claims" ADD CONSTRAINT "shared_verdict_claims_verdict_shared_verdicts_id_fk" FOREIGN KEY ("verdict") REFERENCES "public"."shared_verdicts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "shared_verdict_claims" ADD CONSTRAINT "shared_verdict_claims_node_nodes_id_fk" FOREIGN KEY ("node") REFERENCES "public"."nodes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "shared_verdict_claims_node" ON "shared_verdict_claims" USING btree ("node");--> statement-breakpoint
CREATE UNIQUE INDEX "shared_verdicts_one_per_shape" ON "shared_verdicts" USING btree ("shape") WHERE "shared_verdicts"."state" in ('pending', 'in-force');--> statement-breakpoint
CREATE INDEX "shared_verdicts_state" ON "shared_verdicts" USING btree ("state","claimed_at");--> statement-breakpoint
CREATE UNIQUE INDEX "sharing_stops_one" ON "sharing_stops" USING btree ((true)) WHERE "sharing_stops"."released_at" is null;