ALTER TABLE "sessions" ADD COLUMN "asked_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "shared_verdicts" ADD COLUMN "refuted" boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX "shared_verdicts_refuted" ON "shared_verdicts" USING btree ("shape") WHERE "shared_verdicts"."refuted";