CREATE TABLE "twin_reports" (
	"rollout" uuid NOT NULL,
	"node" uuid NOT NULL,
	"epoch" uuid NOT NULL,
	"said" json NOT NULL,
	"before" json,
	"at" timestamp with time zone NOT NULL,
	CONSTRAINT "twin_reports_rollout_node_pk" PRIMARY KEY("rollout","node")
);
--> statement-breakpoint
ALTER TABLE "assignments" ADD COLUMN "beside" jsonb;--> statement-breakpoint
ALTER TABLE "twin_reports" ADD CONSTRAINT "twin_reports_rollout_rollouts_id_fk" FOREIGN KEY ("rollout") REFERENCES "public"."rollouts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "twin_reports" ADD CONSTRAINT "twin_reports_node_nodes_id_fk" FOREIGN KEY ("node") REFERENCES "public"."nodes"("id") ON DELETE cascade ON UPDATE no action;