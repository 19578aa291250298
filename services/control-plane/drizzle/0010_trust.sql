CREATE TABLE "trust_roots" (
	"version" integer PRIMARY KEY NOT NULL,
	"envelope" jsonb NOT NULL,
	"keys" jsonb NOT NULL,
	"threshold" integer NOT NULL,
	"pushed_at" timestamp with time zone NOT NULL,
	"pushed_by" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "nodes" ADD COLUMN "trust" integer DEFAULT 0 NOT NULL;