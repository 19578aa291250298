DROP INDEX "deliveries_once";--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "priority" text;--> statement-breakpoint
UPDATE "deliveries" SET "priority" = "alerts"."priority" FROM "alerts" WHERE "alerts"."id" = "deliveries"."alert";--> statement-breakpoint
ALTER TABLE "deliveries" ALTER COLUMN "priority" SET NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "deliveries_once" ON "deliveries" USING btree ("alert","webhook","event","priority");
