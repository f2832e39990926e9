CREATE SEQUENCE "public"."writes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
CREATE TABLE "digest_progress" (
	"relation" text PRIMARY KEY NOT NULL,
	"after_key" text,
	"is_done" boolean DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE TABLE "erased_openings" (
	"event_id" bigint PRIMARY KEY NOT NULL,
	"erasure_id" bigint NOT NULL,
	"content" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "erasures" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "erasures_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"analyst_id" uuid NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	"is_done" boolean DEFAULT false NOT NULL,
	CONSTRAINT "erasures_analyst_id_unique" UNIQUE("analyst_id")
);
--> statement-breakpoint
CREATE TABLE "log_checkpoints" (
	"generation" integer NOT NULL,
	"size" bigint NOT NULL,
	"root" "bytea" NOT NULL,
	"note" text NOT NULL,
	"vkeys" text[] NOT NULL,
	"signed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "log_checkpoints_generation_size_pk" PRIMARY KEY("generation","size"),
	CONSTRAINT "log_checkpoints_tree" CHECK ("log_checkpoints"."size" >= 0 and length("log_checkpoints"."root") = 32)
);
--> statement-breakpoint
CREATE TABLE "log_cosignatures" (
	"generation" integer NOT NULL,
	"size" bigint NOT NULL,
	"witness" text NOT NULL,
	"signature" text NOT NULL,
	"cosigned_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "log_cosignatures_generation_size_witness_pk" PRIMARY KEY("generation","size","witness")
);
--> statement-breakpoint
CREATE TABLE "log_generations" (
	"generation" integer PRIMARY KEY NOT NULL,
	"origin" text NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"after_position" bigint NOT NULL,
	"previous_size" bigint,
	"previous_root" "bytea",
	"salt" "bytea",
	"content" text,
	"commitment" "bytea",
	"size" bigint DEFAULT 0 NOT NULL,
	"root" "bytea" DEFAULT sha256('') NOT NULL,
	CONSTRAINT "log_generations_origin_unique" UNIQUE("origin"),
	CONSTRAINT "log_generations_statement" CHECK (case when "log_generations"."generation" = 1 then "log_generations"."after_position" = 0
          and num_nonnulls("log_generations"."previous_size", "log_generations"."previous_root", "log_generations"."salt", "log_generations"."content", "log_generations"."commitment") = 0
        else "log_generations"."generation" > 1
          and num_nulls("log_generations"."previous_size", "log_generations"."previous_root", "log_generations"."salt", "log_generations"."content", "log_generations"."commitment") = 0
          and "log_generations"."after_position" >= 0 and "log_generations"."previous_size" >= 0 and length("log_generations"."previous_root") = 32
          and length("log_generations"."salt") = 32 and length("log_generations"."commitment") = 32 end),
	CONSTRAINT "log_generations_tree" CHECK ("log_generations"."size" >= 0 and length("log_generations"."root") = 32),
	CONSTRAINT "log_generations_name" CHECK ("log_generations"."origin" ~ '^[!-*,-~]{1,255}$')
);
--> statement-breakpoint
CREATE TABLE "log_tiles" (
	"generation" integer NOT NULL,
	"level" smallint NOT NULL,
	"number" bigint NOT NULL,
	"hashes" "bytea" NOT NULL,
	CONSTRAINT "log_tiles_generation_level_number_pk" PRIMARY KEY("generation","level","number"),
	CONSTRAINT "log_tiles_place" CHECK ("log_tiles"."level" between 0 and 63 and "log_tiles"."number" >= 0),
	CONSTRAINT "log_tiles_width" CHECK (length("log_tiles"."hashes") between 32 and 8192 and length("log_tiles"."hashes") % 32 = 0)
);
--> statement-breakpoint
CREATE TABLE "openings" (
	"event_id" bigint PRIMARY KEY NOT NULL,
	"write_id" bigint NOT NULL,
	"salt" "bytea",
	"content" text,
	"commitment" "bytea" NOT NULL,
	CONSTRAINT "openings_lengths" CHECK (length("openings"."salt") = 32 and length("openings"."commitment") = 32 and num_nulls("openings"."salt", "openings"."content") <> 1)
);
--> statement-breakpoint
CREATE TABLE "row_digests" (
	"write_id" bigint NOT NULL,
	"number" integer NOT NULL,
	"relation" text NOT NULL,
	"operation" text NOT NULL,
	"keys" text[] NOT NULL,
	"salt" "bytea",
	"hashes" "bytea" NOT NULL,
	CONSTRAINT "row_digests_write_id_number_pk" PRIMARY KEY("write_id","number"),
	CONSTRAINT "row_digests_operation" CHECK ("row_digests"."operation" in ('insert', 'update', 'delete', 'found')),
	CONSTRAINT "row_digests_lengths" CHECK (length("row_digests"."salt") = 32 and cardinality("row_digests"."keys") > 0
        and length("row_digests"."hashes") = 32 * cardinality("row_digests"."keys"))
);
--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_kind";--> statement-breakpoint
DROP INDEX "events_pending";--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "outlook_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "version" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "log_position" bigint;--> statement-breakpoint
ALTER TABLE "erased_openings" ADD CONSTRAINT "erased_openings_event_id_openings_event_id_fk" FOREIGN KEY ("event_id") REFERENCES "public"."openings"("event_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "erased_openings" ADD CONSTRAINT "erased_openings_erasure_id_erasures_id_fk" FOREIGN KEY ("erasure_id") REFERENCES "public"."erasures"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "erasures" ADD CONSTRAINT "erasures_analyst_id_analysts_id_fk" FOREIGN KEY ("analyst_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "log_checkpoints" ADD CONSTRAINT "log_checkpoints_generation" FOREIGN KEY ("generation") REFERENCES "public"."log_generations"("generation") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "log_cosignatures" ADD CONSTRAINT "log_cosignatures_checkpoint" FOREIGN KEY ("generation","size") REFERENCES "public"."log_checkpoints"("generation","size") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "log_tiles" ADD CONSTRAINT "log_tiles_generation" FOREIGN KEY ("generation") REFERENCES "public"."log_generations"("generation") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "row_digests_found" ON "row_digests" USING gin ("keys") WHERE "row_digests"."operation" = 'found';--> statement-breakpoint
CREATE INDEX "events_of_records" ON "events" USING btree ("outlook_id","kind") WHERE "events"."kind" in ('evidence.added', 'view.published', 'view.withdrawn', 'outlook.resolved', 'outlook.reopened');--> statement-breakpoint
CREATE UNIQUE INDEX "events_in_log" ON "events" USING btree (coalesce("log_position", "position")) WHERE coalesce("events"."log_position", "events"."position") is not null;--> statement-breakpoint
CREATE INDEX "events_unplaced" ON "events" USING btree ("transaction_id","id") WHERE "events"."position" is null and "events"."log_position" is null;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_kind" CHECK (case when "events"."kind" in ('analyst.added', 'analyst.erased', 'instrument.added', 'instrument.changed', 'key.issued', 'key.revoked', 'ledger.digested', 'log.generation.started', 'observations.recorded', 'refusals.recorded', 'rows.digested', 'series.added', 'source.changed', 'webhook.changed', 'write.recorded')
          then "events"."outlook_id" is null and "events"."version" is null
        else "events"."outlook_id" is not null and "events"."version" is not null
          and "events"."kind" in ('outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.horizon.ended', 'outlook.resolved', 'outlook.resolution.contradicted', 'outlook.reopened', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published', 'view.withdrawn') end);