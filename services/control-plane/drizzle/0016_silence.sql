DROP INDEX "nodes_last_seen";--> statement-breakpoint
ALTER TABLE "nodes" ADD COLUMN "silent_at" timestamp with time zone;--> statement-breakpoint
UPDATE "nodes" SET "silent_at" = "last_seen_at" + interval '90 seconds';--> statement-breakpoint
CREATE INDEX "nodes_silent" ON "nodes" USING btree ("silent_at");