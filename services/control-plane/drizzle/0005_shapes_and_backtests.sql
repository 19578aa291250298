CREATE TABLE "backtests" (
	"id" uuid PRIMARY KEY NOT NULL,
	"sequence" bigserial NOT NULL,
	"rule_set" text NOT NULL,
	"version" integer,
	"baseline" integer,
	"rule_text" text NOT NULL,
	"state" text NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text NOT NULL,
	"started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	"summary" text,
	"error" text,
	"report" json,
	CONSTRAINT "backtests_sequence_unique" UNIQUE("sequence")
);
--> statement-breakpoint
CREATE TABLE "shape_uses" (
	"node" uuid NOT NULL,
	"shape" text NOT NULL,
	"workload" text NOT NULL,
	"epoch" uuid NOT NULL,
	"uses_now" bigint NOT NULL,
	"uses_before" bigint DEFAULT 0 NOT NULL,
	"last_seen_at" timestamp with time zone NOT NULL,
	CONSTRAINT "shape_uses_node_shape_pk" PRIMARY KEY("node","shape")
);
--> statement-breakpoint
CREATE TABLE "shapes" (
	"digest" text PRIMARY KEY NOT NULL,
	"dialect" text NOT NULL,
	"text" text NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "shape_uses" ADD CONSTRAINT "shape_uses_node_nodes_id_fk" FOREIGN KEY ("node") REFERENCES "public"."nodes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "shape_uses" ADD CONSTRAINT "shape_uses_shape_shapes_digest_fk" FOREIGN KEY ("shape") REFERENCES "public"."shapes"("digest") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "backtests_version" ON "backtests" USING btree ("rule_set","version","sequence");--> statement-breakpoint
CREATE INDEX "backtests_unfinished" ON "backtests" USING btree ("created_at") WHERE "backtests"."finished_at" is null;--> statement-breakpoint
CREATE INDEX "shape_uses_shape" ON "shape_uses" USING btree ("shape");--> statement-breakpoint
CREATE INDEX "shape_uses_idle" ON "shape_uses" USING btree ("last_seen_at");