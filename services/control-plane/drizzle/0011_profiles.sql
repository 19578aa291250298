CREATE TABLE "profile_offers" (
	"id" uuid PRIMARY KEY NOT NULL,
	"node" uuid NOT NULL,
	"workload" text NOT NULL,
	"database_user" text NOT NULL,
	"database" text NOT NULL,
	"learning" boolean NOT NULL,
	"templates" integer NOT NULL,
	"profile" json NOT NULL,
	"digest" text NOT NULL,
	"offered_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "signed_profiles" (
	"digest" text PRIMARY KEY NOT NULL,
	"workload" text NOT NULL,
	"database_user" text NOT NULL,
	"database" text NOT NULL,
	"version" integer NOT NULL,
	"templates" integer NOT NULL,
	"removed" integer NOT NULL,
	"envelope" json NOT NULL,
	"signed_by" jsonb NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"pushed_at" timestamp with time zone NOT NULL,
	"pushed_by" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "nodes" ADD COLUMN "signed_profiles" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "profile_offers" ADD CONSTRAINT "profile_offers_node_nodes_id_fk" FOREIGN KEY ("node") REFERENCES "public"."nodes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "profile_offers_one" ON "profile_offers" USING btree ("node","workload","database_user","database");--> statement-breakpoint
CREATE UNIQUE INDEX "signed_profiles_version" ON "signed_profiles" USING btree ("workload","database_user","database","version");