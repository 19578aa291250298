CREATE TABLE "alerts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"sequence" bigserial NOT NULL,
	"priority" text NOT NULL,
	"state" text NOT NULL,
	"causal_key" text NOT NULL,
	"title" text NOT NULL,
	"summary" text NOT NULL,
	"count" bigint NOT NULL,
	"nodes" jsonb NOT NULL,
	"first_at" timestamp with time zone NOT NULL,
	"last_at" timestamp with time zone NOT NULL,
	"heard_at" timestamp with time zone NOT NULL,
	"ends_quietly" boolean NOT NULL,
	"resolved_at" timestamp with time zone,
	"acknowledged_by" text
);
--> statement-breakpoint
CREATE TABLE "api_tokens" (
	"id" uuid PRIMARY KEY NOT NULL,
	"hash" text NOT NULL,
	"label" text NOT NULL,
	"role" text NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text NOT NULL,
	"revoked_at" timestamp with time zone,
	CONSTRAINT "api_tokens_hash_unique" UNIQUE("hash")
);
--> statement-breakpoint
CREATE TABLE "assignments" (
	"node" uuid NOT NULL,
	"rule_set" text NOT NULL,
	"id" uuid NOT NULL,
	"generation" integer NOT NULL,
	"version" integer NOT NULL,
	"bundle" text NOT NULL,
	"rollout" uuid,
	"share" integer NOT NULL,
	"scope" text NOT NULL,
	"assigned_at" timestamp with time zone NOT NULL,
	"acknowledged_at" timestamp with time zone,
	CONSTRAINT "assignments_node_rule_set_pk" PRIMARY KEY("node","rule_set"),
	CONSTRAINT "assignments_id_unique" UNIQUE("id")
);
--> statement-breakpoint
CREATE TABLE "audit_log" (
	"sequence" bigint PRIMARY KEY NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"actor" text NOT NULL,
	"verb" text NOT NULL,
	"subject" text NOT NULL,
	"detail" jsonb NOT NULL,
	"previous_hash" text NOT NULL,
	"hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "certificates" (
	"node" uuid NOT NULL,
	"host" text NOT NULL,
	"port" integer NOT NULL,
	"dialect" text NOT NULL,
	"handshake" text NOT NULL,
	"error" text,
	"certificate" jsonb,
	"priority" text,
	"causal_key" text NOT NULL,
	"at" timestamp with time zone NOT NULL,
	CONSTRAINT "certificates_node_host_port_pk" PRIMARY KEY("node","host","port")
);
--> statement-breakpoint
CREATE TABLE "cursors" (
	"name" text PRIMARY KEY NOT NULL,
	"sequence" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "deliveries" (
	"id" uuid PRIMARY KEY NOT NULL,
	"sequence" bigserial NOT NULL,
	"alert" uuid NOT NULL,
	"webhook" uuid NOT NULL,
	"event" text NOT NULL,
	"body" text NOT NULL,
	"state" text NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp with time zone NOT NULL,
	"last_status" integer,
	"last_error" text,
	"created_at" timestamp with time zone NOT NULL,
	"delivered_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "detections" (
	"node" uuid NOT NULL,
	"id" uuid NOT NULL,
	"sequence" bigserial NOT NULL,
	"kind" text NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"received_at" timestamp with time zone NOT NULL,
	"priority" text,
	"causal_key" text NOT NULL,
	"verdict" text,
	"guarantee" text,
	"rules" text[],
	"payload" jsonb NOT NULL,
	CONSTRAINT "detections_node_id_pk" PRIMARY KEY("node","id")
);
--> statement-breakpoint
CREATE TABLE "join_tokens" (
	"id" uuid PRIMARY KEY NOT NULL,
	"hash" text NOT NULL,
	"labels" jsonb NOT NULL,
	"uses_max" integer NOT NULL,
	"uses" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"revoked_at" timestamp with time zone,
	CONSTRAINT "join_tokens_hash_unique" UNIQUE("hash")
);
--> statement-breakpoint
CREATE TABLE "nodes" (
	"id" uuid PRIMARY KEY NOT NULL,
	"sequence" bigserial NOT NULL,
	"hostname" text NOT NULL,
	"labels" jsonb NOT NULL,
	"labels_fixed" jsonb NOT NULL,
	"public_key" text NOT NULL,
	"kernel" text NOT NULL,
	"agent_version" text NOT NULL,
	"join_token" uuid NOT NULL,
	"enrolled_at" timestamp with time zone NOT NULL,
	"retired_at" timestamp with time zone,
	"last_seen_at" timestamp with time zone,
	"reported_at" timestamp with time zone,
	"installed" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"counters" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"losses" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"guarantees" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"connections" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"connections_total" integer DEFAULT 0 NOT NULL,
	"overrides" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"missing" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"shapes_learned" integer DEFAULT 0 NOT NULL,
	"resident_bytes" bigint,
	"uptime_seconds" double precision,
	"lost_by_agent" bigint DEFAULT 0 NOT NULL,
	"events_lost" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "nodes_sequence_unique" UNIQUE("sequence"),
	CONSTRAINT "nodes_public_key_unique" UNIQUE("public_key")
);
--> statement-breakpoint
CREATE TABLE "objects" (
	"digest" text PRIMARY KEY NOT NULL,
	"bytes" "bytea" NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "release_keys" (
	"keyid" text PRIMARY KEY NOT NULL,
	"public_key" text NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "rollout_decisions" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"rollout" uuid NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"step" integer NOT NULL,
	"kind" text NOT NULL,
	"because" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "rollout_nodes" (
	"rollout" uuid NOT NULL,
	"node" uuid NOT NULL,
	"bucket" integer NOT NULL,
	"step" integer NOT NULL,
	"previous" integer,
	"reached_at" timestamp with time zone,
	"lost_at_step_start" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "rollout_nodes_rollout_node_pk" PRIMARY KEY("rollout","node")
);
--> statement-breakpoint
CREATE TABLE "rollouts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"rule_set" text NOT NULL,
	"version" integer NOT NULL,
	"bundle" text NOT NULL,
	"previous" integer,
	"selector" jsonb NOT NULL,
	"steps" jsonb NOT NULL,
	"salt" text NOT NULL,
	"lowest_bucket" integer NOT NULL,
	"lost_events_max" integer NOT NULL,
	"state" text NOT NULL,
	"step" integer NOT NULL,
	"step_started_at" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text NOT NULL,
	"finished_at" timestamp with time zone,
	"sequence" bigserial NOT NULL
);
--> statement-breakpoint
CREATE TABLE "rule_versions" (
	"rule_set" text NOT NULL,
	"version" integer NOT NULL,
	"bundle" text NOT NULL,
	"envelope" jsonb NOT NULL,
	"rule_text" text NOT NULL,
	"signed_by" jsonb NOT NULL,
	"floor" integer NOT NULL,
	"object" text NOT NULL,
	"lost_events_max" integer NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"pushed_at" timestamp with time zone NOT NULL,
	"pushed_by" text NOT NULL,
	CONSTRAINT "rule_versions_rule_set_version_pk" PRIMARY KEY("rule_set","version"),
	CONSTRAINT "rule_versions_bundle_unique" UNIQUE("bundle")
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"hash" text PRIMARY KEY NOT NULL,
	"token" uuid NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tickets" (
	"causal_key" text PRIMARY KEY NOT NULL,
	"adapter" text NOT NULL,
	"number" integer,
	"url" text,
	"state" text NOT NULL,
	"alert" uuid NOT NULL,
	"revision" integer DEFAULT 1 NOT NULL,
	"told_alert" uuid,
	"told_priority" text,
	"locked_until" timestamp with time zone,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp with time zone,
	"last_error" text,
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "webhooks" (
	"id" uuid PRIMARY KEY NOT NULL,
	"url" text NOT NULL,
	"priority_min" text NOT NULL,
	"secret" text NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text NOT NULL,
	"disabled_at" timestamp with time zone,
	"deleted_at" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "assignments" ADD CONSTRAINT "assignments_node_nodes_id_fk" FOREIGN KEY ("node") REFERENCES "public"."nodes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "deliveries" ADD CONSTRAINT "deliveries_alert_alerts_id_fk" FOREIGN KEY ("alert") REFERENCES "public"."alerts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "deliveries" ADD CONSTRAINT "deliveries_webhook_webhooks_id_fk" FOREIGN KEY ("webhook") REFERENCES "public"."webhooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rollout_decisions" ADD CONSTRAINT "rollout_decisions_rollout_rollouts_id_fk" FOREIGN KEY ("rollout") REFERENCES "public"."rollouts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rollout_nodes" ADD CONSTRAINT "rollout_nodes_rollout_rollouts_id_fk" FOREIGN KEY ("rollout") REFERENCES "public"."rollouts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rollout_nodes" ADD CONSTRAINT "rollout_nodes_node_nodes_id_fk" FOREIGN KEY ("node") REFERENCES "public"."nodes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_token_api_tokens_id_fk" FOREIGN KEY ("token") REFERENCES "public"."api_tokens"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_alert_alerts_id_fk" FOREIGN KEY ("alert") REFERENCES "public"."alerts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "alerts_one_live_per_cause" ON "alerts" USING btree ("causal_key") WHERE "alerts"."state" <> 'resolved';--> statement-breakpoint
CREATE UNIQUE INDEX "alerts_sequence" ON "alerts" USING btree ("sequence");--> statement-breakpoint
CREATE INDEX "alerts_quiet" ON "alerts" USING btree ("heard_at") WHERE "alerts"."state" <> 'resolved' and "alerts"."ends_quietly";--> statement-breakpoint
CREATE INDEX "alerts_cause" ON "alerts" USING btree ("causal_key","sequence");--> statement-breakpoint
CREATE INDEX "assignments_undelivered" ON "assignments" USING btree ("assigned_at") WHERE "assignments"."acknowledged_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "deliveries_once" ON "deliveries" USING btree ("alert","webhook","event");--> statement-breakpoint
CREATE UNIQUE INDEX "deliveries_sequence" ON "deliveries" USING btree ("sequence");--> statement-breakpoint
CREATE INDEX "deliveries_due" ON "deliveries" USING btree ("next_attempt_at") WHERE "deliveries"."state" = 'pending';--> statement-breakpoint
CREATE UNIQUE INDEX "detections_sequence" ON "detections" USING btree ("sequence");--> statement-breakpoint
CREATE INDEX "nodes_labels" ON "nodes" USING gin ("labels" jsonb_path_ops);--> statement-breakpoint
CREATE INDEX "nodes_last_seen" ON "nodes" USING btree ("last_seen_at");--> statement-breakpoint
CREATE INDEX "rollout_decisions_rollout" ON "rollout_decisions" USING btree ("rollout","id");--> statement-breakpoint
CREATE INDEX "rollout_nodes_node" ON "rollout_nodes" USING btree ("node");--> statement-breakpoint
CREATE UNIQUE INDEX "rollouts_one_active" ON "rollouts" USING btree ("rule_set") WHERE "rollouts"."state" in ('running', 'paused', 'rolling-back');--> statement-breakpoint
CREATE INDEX "rollouts_by_rule_set" ON "rollouts" USING btree ("rule_set","sequence");--> statement-breakpoint
CREATE INDEX "tickets_due" ON "tickets" USING btree ("next_attempt_at") WHERE "tickets"."next_attempt_at" is not null;