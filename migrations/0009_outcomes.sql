CREATE TABLE "resolution_contradictions" (
	"outlook_id" bigint NOT NULL,
	"number" integer NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	"outcome" text,
	"start_date" date,
	"start_value" double precision,
	"end_date" date,
	"end_value" double precision,
	CONSTRAINT "resolution_contradictions_outlook_id_number_recorded_at_pk" PRIMARY KEY("outlook_id","number","recorded_at"),
	CONSTRAINT "resolution_contradictions_outcome" CHECK ("resolution_contradictions"."outcome" in ('bear', 'base', 'bull')),
	CONSTRAINT "resolution_contradictions_closes" CHECK (num_nulls("resolution_contradictions"."outcome", "resolution_contradictions"."start_date", "resolution_contradictions"."start_value", "resolution_contradictions"."end_date", "resolution_contradictions"."end_value") in (0, 5) and ("resolution_contradictions"."start_date" < "resolution_contradictions"."end_date" and "resolution_contradictions"."start_value" > 0 and "resolution_contradictions"."start_value" < 'Infinity' and "resolution_contradictions"."end_value" > '-Infinity' and "resolution_contradictions"."end_value" < 'Infinity') is not false),
	CONSTRAINT "resolution_contradictions_recorded_at" CHECK (isfinite("resolution_contradictions"."recorded_at"))
);
--> statement-breakpoint
ALTER TABLE "condition_answers" DROP CONSTRAINT "condition_answers_way";--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_kind";--> statement-breakpoint
ALTER TABLE "resolutions" DROP CONSTRAINT "resolutions_contradiction";--> statement-breakpoint
ALTER TABLE "outlook_versions" DROP CONSTRAINT "outlook_versions_kind";--> statement-breakpoint
ALTER TABLE "webhooks" DROP CONSTRAINT "webhooks_kinds";--> statement-breakpoint
ALTER TABLE "observations" ALTER COLUMN "value" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "views" ALTER COLUMN "rationale" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "condition_comparisons" ADD COLUMN "judged_on" text;--> statement-breakpoint
ALTER TABLE "scenarios" ADD COLUMN "central_return" double precision;--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "horizon_ended_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "is_contradicted" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "resolutions" ADD COLUMN "reopens" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "resolutions" ADD COLUMN "known_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "series" ADD COLUMN "dated" text DEFAULT 'end' NOT NULL;--> statement-breakpoint
ALTER TABLE "outlook_versions" ADD COLUMN "consensus_max_age" integer;--> statement-breakpoint
ALTER TABLE "views" ADD COLUMN "kind" text DEFAULT 'held' NOT NULL;--> statement-breakpoint
ALTER TABLE "resolution_contradictions" ADD CONSTRAINT "resolution_contradictions_resolution" FOREIGN KEY ("outlook_id","number") REFERENCES "public"."resolutions"("outlook_id","number") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "outlooks_awaiting_resolution" ON "outlooks" USING btree ("published_at","id") WHERE "outlooks"."status" = 'open' and "outlooks"."horizon_ended_at" is not null;--> statement-breakpoint
CREATE INDEX "outlooks_contradicted" ON "outlooks" USING btree ("published_at","id") WHERE "outlooks"."is_contradicted";--> statement-breakpoint
CREATE INDEX "outlooks_horizon_to_end" ON "outlooks" USING btree ("horizon_to","id") WHERE "outlooks"."status" = 'open' and "outlooks"."horizon_ended_at" is null;--> statement-breakpoint
ALTER TABLE "condition_answers" ADD CONSTRAINT "condition_answers_way" CHECK ("condition_answers"."way" in ('weight', 'acknowledged', 'reaffirmed'));--> statement-breakpoint
ALTER TABLE "condition_comparisons" ADD CONSTRAINT "condition_comparisons_judged_on" CHECK ("condition_comparisons"."judged_on" in ('periodEnd', 'recorded'));--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_kind" CHECK ("events"."kind" in ('outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.horizon.ended', 'outlook.resolved', 'outlook.resolution.contradicted', 'outlook.reopened', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published', 'view.withdrawn'));--> statement-breakpoint
ALTER TABLE "outlooks" ADD CONSTRAINT "outlooks_horizon_ended_at" CHECK (("outlooks"."horizon_ended_at" >= "outlooks"."horizon_to"::timestamp at time zone 'UTC') is not false);--> statement-breakpoint
ALTER TABLE "resolutions" ADD CONSTRAINT "resolutions_reopens" CHECK (not "resolutions"."reopens" or ("resolutions"."number" > 1 and num_nulls("resolutions"."outcome", "resolutions"."realised_return", "resolutions"."end_date") = 3));--> statement-breakpoint
ALTER TABLE "series" ADD CONSTRAINT "series_dated" CHECK ("series"."dated" in ('start', 'end'));--> statement-breakpoint
ALTER TABLE "outlook_versions" ADD CONSTRAINT "outlook_versions_consensus_max_age" CHECK ("outlook_versions"."consensus_max_age" is null or ("outlook_versions"."consensus_max_age" >= 1 and "outlook_versions"."consensus_method" is not null));--> statement-breakpoint
ALTER TABLE "outlook_versions" ADD CONSTRAINT "outlook_versions_kind" CHECK ("outlook_versions"."kind" in ('created', 'probabilities', 'framework', 'reaffirmed', 'withdrawn'));--> statement-breakpoint
ALTER TABLE "views" ADD CONSTRAINT "views_kind" CHECK ("views"."kind" in ('held', 'withdrawn'));--> statement-breakpoint
ALTER TABLE "views" ADD CONSTRAINT "views_rationale_given" CHECK ("views"."kind" = 'withdrawn' or "views"."rationale" is not null);--> statement-breakpoint
ALTER TABLE "views" ADD CONSTRAINT "views_held_first" CHECK ("views"."version" > 1 or "views"."kind" = 'held');--> statement-breakpoint
ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_kinds" CHECK (cardinality("webhooks"."kinds") > 0 and "webhooks"."kinds" <@ array['outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.horizon.ended', 'outlook.resolved', 'outlook.resolution.contradicted', 'outlook.reopened', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published', 'view.withdrawn']);--> statement-breakpoint
-- The decimal that a double stands for: the shortest one that is read back as the same double. A cast to numeric would round
-- to 15 digits.
CREATE FUNCTION decimal_of(value float8) RETURNS numeric
  IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql SET extra_float_digits = 1 SET search_path = public, pg_temp
AS $$
  SELECT value::text::numeric;
$$;
--> statement-breakpoint
-- The scenario that the return between two closes falls into, by the base scenario's band [low, high); null if an argument is.
-- Multiplied out, because a quotient is rounded: end / start − 1 < low if and only if end < start × (1 + low).
CREATE FUNCTION outcome_of_closes(start_value float8, end_value float8, low float8, high float8) RETURNS text
  IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql SET search_path = public, pg_temp
AS $$
  SELECT CASE WHEN decimal_of(end_value) < decimal_of(start_value) * (1 + decimal_of(low)) THEN 'bear'
              WHEN decimal_of(end_value) < decimal_of(start_value) * (1 + decimal_of(high)) THEN 'base'
              ELSE 'bull' END;
$$;
--> statement-breakpoint
ALTER TABLE resolutions DISABLE TRIGGER USER;
--> statement-breakpoint
-- An outcome that the closes decided was known when the last of them was: when it was recorded, or at the start of the next
-- day. One that was stated was known when it was first recorded.
UPDATE resolutions r SET known_at = CASE
    WHEN r.outcome = outcome_of_closes(r.start_value, r.end_value, r.band_low, r.band_high) THEN least(
      r.recorded_at, (r.end_date + 1)::timestamp AT TIME ZONE 'UTC',
      (SELECT min(o.recorded_at) FROM outlooks l JOIN instruments i ON i.id = l.instrument_id
         JOIN observations o ON o.series_id = i.closes_id
        WHERE l.id = r.outlook_id AND o.date = r.end_date AND o.value = r.end_value))
    ELSE (SELECT min(f.recorded_at) FROM resolutions f WHERE f.outlook_id = r.outlook_id) END
 WHERE r.outcome IS NOT NULL;
--> statement-breakpoint
ALTER TABLE resolutions ENABLE TRIGGER USER;
--> statement-breakpoint
ALTER TABLE "resolutions" ADD CONSTRAINT "resolutions_known_at" CHECK (("resolutions"."outcome" is null) = ("resolutions"."known_at" is null) and (isfinite("resolutions"."known_at") and "resolutions"."known_at" <= "resolutions"."recorded_at") is not false);
--> statement-breakpoint
CREATE OR REPLACE FUNCTION append_resolution() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
  newest resolutions;
  base scenarios;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id FOR NO KEY UPDATE;
  SELECT * INTO newest FROM resolutions WHERE outlook_id = NEW.outlook_id ORDER BY number DESC LIMIT 1;
  IF NEW.number <> coalesce(newest.number, 0) + 1 THEN
    PERFORM refuse('resolutions_gapless', 'resolution ' || NEW.number || ' is not the next one');
  END IF;
  IF NEW.superseded_at IS NOT NULL THEN
    PERFORM refuse('resolutions_newest', 'a resolution comes in as the one that stands');
  END IF;
  SELECT * INTO base FROM scenarios WHERE framework_id = outlook.framework_id AND name = 'base';
  IF (NEW.band_low, NEW.band_high) IS DISTINCT FROM (base.return_min, base.return_max) THEN
    PERFORM refuse('resolutions_band_stands', 'the band is not that of the framework that stands');
  END IF;
  NEW.recorded_at := greatest(NEW.recorded_at, newest.recorded_at, outlook.published_at);
  IF NEW.outcome IS NOT NULL THEN
    NEW.known_at := coalesce(NEW.known_at, NEW.recorded_at);
  END IF;
  IF NEW.recorded_at < outlook.horizon_to::timestamp AT TIME ZONE 'UTC' THEN
    IF NEW.reason IS NULL THEN
      PERFORM refuse('resolutions_early', 'before the end of the horizon it takes a reason');
    END IF;
    IF NEW.end_date IS NOT NULL THEN
      PERFORM refuse('resolutions_early', 'before the end of the horizon closes tell nothing');
    END IF;
  END IF;
  IF NEW.start_date >= outlook.horizon_from
     OR NOT (NEW.end_date >= outlook.horizon_from AND NEW.end_date < outlook.horizon_to) THEN
    PERFORM refuse('resolutions_closes_of_horizon', 'the closes are not those of the horizon');
  END IF;
  IF NEW.reason IS NULL AND (
       NEW.outcome <> outcome_of_closes(NEW.start_value, NEW.end_value, NEW.band_low, NEW.band_high)
       OR NEW.outcome <> CASE WHEN NEW.realised_return < NEW.band_low THEN 'bear'
                              WHEN NEW.realised_return < NEW.band_high THEN 'base'
                              WHEN NEW.realised_return IS NOT NULL THEN 'bull' END) THEN
    PERFORM refuse('resolutions_contradiction', 'an outcome against the closes or the stated return takes a reason');
  END IF;
  UPDATE resolutions SET superseded_at = NEW.recorded_at
   WHERE outlook_id = NEW.outlook_id AND superseded_at IS NULL;
  RETURN NEW;
END $$;
