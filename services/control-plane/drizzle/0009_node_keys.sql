ALTER TABLE "nodes" ADD COLUMN "key_since" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "nodes" ADD COLUMN "previous_key" text;--> statement-breakpoint
ALTER TABLE "nodes" ADD COLUMN "previous_key_until" timestamp with time zone;