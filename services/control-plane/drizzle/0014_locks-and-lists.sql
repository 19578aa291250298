ALTER TABLE "shared_verdicts" DROP CONSTRAINT "shared_verdicts_sequence_unique";--> statement-breakpoint
CREATE INDEX "detections_node_sequence" ON "detections" USING btree ("node","sequence");--> statement-breakpoint
CREATE UNIQUE INDEX "shared_verdicts_sequence" ON "shared_verdicts" USING btree ("sequence") WHERE "shared_verdicts"."sequence" is not null;