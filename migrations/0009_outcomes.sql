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
ALTER TABLE "resolutions" DROP CONSTRAINT "resolutions_reason_given";--> statement-breakpoint
ALTER TABLE "resolutions" ADD CONSTRAINT "resolutions_reason_given" CHECK ("resolutions"."reason" is not null or "resolutions"."outcome" is not null);--> statement-breakpoint
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
CREATE INDEX "outlooks_awaiting_resolution" ON "outlooks" USING btree ("published_at","id") WHERE "outlooks"."horizon_ended_at" is not null and "outlooks"."review_reasons" <> '{}' and not "outlooks"."is_contradicted";--> statement-breakpoint
CREATE INDEX "outlooks_contradicted" ON "outlooks" USING btree ("published_at","id") WHERE "outlooks"."is_contradicted";--> statement-breakpoint
CREATE INDEX "outlooks_horizon_to_end" ON "outlooks" USING btree ("horizon_to","id") WHERE "outlooks"."status" in ('open', 'withdrawn') and "outlooks"."horizon_ended_at" is null;--> statement-breakpoint
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
-- The return between two closes: the double nearest to end / start − 1. Sixty decimals are far more than a double holds.
CREATE FUNCTION return_of_closes(start_value float8, end_value float8) RETURNS float8
  IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql SET search_path = public, pg_temp
AS $$
  SELECT (round(decimal_of(end_value) - decimal_of(start_value), 60) / decimal_of(start_value))::float8;
$$;
--> statement-breakpoint
-- The return that a resolution shows. Releases before this one stored the rounded quotient of two doubles, such as
-- 0.1499999999999999 for the closes 100 and 115.
CREATE FUNCTION realised_return_of(r resolutions) RETURNS float8
  STABLE LANGUAGE sql SET search_path = public, pg_temp
AS $$
  SELECT CASE WHEN r.realised_return = r.end_value / r.start_value - 1
         THEN return_of_closes(r.start_value, r.end_value) ELSE r.realised_return END;
$$;
--> statement-breakpoint
-- Whether the closes decided a resolution: they are there and imply its outcome.
CREATE FUNCTION decided_by_closes(r resolutions) RETURNS boolean
  IMMUTABLE PARALLEL SAFE LANGUAGE sql SET search_path = public, pg_temp
AS $$
  SELECT coalesce(r.outcome = outcome_of_closes(r.start_value, r.end_value, r.band_low, r.band_high), false);
$$;
--> statement-breakpoint
ALTER TABLE resolutions DISABLE TRIGGER USER;
--> statement-breakpoint
-- An outcome that the closes decided was known when the last of them was: when it was recorded, or at the start of the next
-- day. One that was stated was known when it was first recorded.
UPDATE resolutions r SET known_at = CASE
    WHEN decided_by_closes(r) THEN least(
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
-- The sentences that say why a review is due, other than those of conditions.
CREATE FUNCTION awaiting_reason(horizon_to date) RETURNS text
  IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql SET search_path = public, pg_temp
AS $$
  SELECT 'The horizon ended on ' || (horizon_to - 1)::text || '; record the outcome.';
$$;
--> statement-breakpoint
CREATE FUNCTION contradiction_reason(implied text, number int, outcome text) RETURNS text
  IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql SET search_path = public, pg_temp
AS $$
  SELECT 'Closes now imply ' || implied || '; resolution ' || number || ' says ' || outcome ||
    ': correct it, or confirm it with a reason.';
$$;
--> statement-breakpoint
-- Why a review of an outlook is due. Triggered conditions need an answer while the horizon runs. Afterwards only the
-- outcome is missing, also that of a withdrawn outlook: otherwise whoever withdraws a bad forecast would not be scored.
CREATE FUNCTION review_reasons_of(outlook outlooks) RETURNS text[]
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF outlook.is_contradicted THEN
    RETURN (
      SELECT array[contradiction_reason(c.outcome, r.number, r.outcome)]
        FROM resolutions r JOIN LATERAL (
          SELECT * FROM resolution_contradictions n
           WHERE n.outlook_id = r.outlook_id AND n.number = r.number ORDER BY n.recorded_at DESC LIMIT 1) c ON true
       WHERE r.outlook_id = outlook.id AND r.superseded_at IS NULL);
  END IF;
  IF EXISTS (SELECT FROM resolutions r
              WHERE r.outlook_id = outlook.id AND r.superseded_at IS NULL AND NOT r.reopens) THEN
    RETURN '{}';
  END IF;
  IF outlook.horizon_ended_at IS NOT NULL THEN
    RETURN array[awaiting_reason(outlook.horizon_to)];
  END IF;
  IF outlook.status <> 'open' THEN
    RETURN '{}';
  END IF;
  RETURN (
    SELECT coalesce(array_agg(c.reason ORDER BY c.id) FILTER (WHERE c.state = 'triggered' AND NOT EXISTS (
             SELECT FROM condition_answers a WHERE a.change_id = c.id)), '{}')
      FROM (SELECT DISTINCT ON (key) * FROM condition_changes
             WHERE outlook_id = outlook.id ORDER BY key, id DESC) AS c);
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION refresh_conditions(outlook bigint) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  states jsonb := (
    SELECT coalesce(jsonb_object_agg(c.key, c.state) FILTER (WHERE c.state <> 'untriggered'), '{}')
      FROM (SELECT DISTINCT ON (key) * FROM condition_changes
             WHERE outlook_id = outlook ORDER BY key, id DESC) AS c);
  reasons text[] := (SELECT review_reasons_of(o) FROM outlooks o WHERE o.id = outlook);
BEGIN
  UPDATE outlooks SET condition_states = states, review_reasons = reasons
   WHERE id = outlook AND (condition_states, review_reasons) IS DISTINCT FROM (states, reasons);
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_new_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.latest_version <> 0 THEN
    PERFORM refuse('outlooks_latest_version', 'an outlook starts before its first version');
  END IF;
  IF NEW.review_reasons <> '{}' OR NEW.condition_states <> '{}' THEN
    PERFORM refuse('outlooks_review', 'an outlook starts without anything owed');
  END IF;
  IF NEW.status <> 'open' THEN
    PERFORM refuse('outlooks_closing', 'an outlook starts open');
  END IF;
  IF NEW.horizon_ended_at IS NOT NULL THEN
    PERFORM refuse('outlooks_horizon_ended', 'an outlook starts before the end of its horizon');
  END IF;
  IF NEW.is_contradicted THEN
    PERFORM refuse('outlooks_contradicted', 'an outlook starts without a resolution');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.slug, NEW.instrument_id, NEW.horizon_from, NEW.horizon_to)
     IS DISTINCT FROM (OLD.id, OLD.slug, OLD.instrument_id, OLD.horizon_from, OLD.horizon_to) THEN
    PERFORM refuse('outlooks_subject_fixed', 'what an outlook is about never changes');
  END IF;
  IF (NEW.latest_version, NEW.published_at, NEW.transaction_id, NEW.hash, NEW.framework_id,
      NEW.bear_bps, NEW.base_bps, NEW.bull_bps)
     IS DISTINCT FROM (OLD.latest_version, OLD.published_at, OLD.transaction_id, OLD.hash, OLD.framework_id,
      OLD.bear_bps, OLD.base_bps, OLD.bull_bps) AND pg_trigger_depth() = 1 THEN
    PERFORM refuse('outlooks_latest_version', 'only a new version moves the pointer to the newest');
  END IF;
  IF (NEW.condition_states, NEW.review_reasons) IS DISTINCT FROM (OLD.condition_states, OLD.review_reasons)
     AND pg_trigger_depth() = 1 THEN
    PERFORM refuse('outlooks_review', 'only conditions, and versions that answer them, change what is owed');
  END IF;
  IF NEW.status <> OLD.status AND pg_trigger_depth() = 1 THEN
    PERFORM refuse('outlooks_closing', 'only a withdrawal or a resolution closes an outlook');
  END IF;
  IF NEW.is_contradicted <> OLD.is_contradicted AND pg_trigger_depth() = 1 THEN
    PERFORM refuse('outlooks_contradicted', 'only closes contradict a resolution');
  END IF;
  IF NEW.horizon_ended_at IS DISTINCT FROM OLD.horizon_ended_at
     AND (OLD.horizon_ended_at IS NOT NULL OR OLD.status NOT IN ('open', 'withdrawn')) THEN
    PERFORM refuse('outlooks_horizon_ended', 'the end of a horizon is noted once, before the resolution');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION withdraw_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id;
  outlook.status := 'withdrawn';
  UPDATE outlooks SET status = outlook.status, review_reasons = review_reasons_of(outlook) WHERE id = outlook.id;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- The event that a horizon is over; the review then asks for the outcome.
CREATE FUNCTION end_horizon() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES ('outlook.horizon.ended', NEW.id, NEW.latest_version,
          jsonb_build_object('horizon', jsonb_build_object('from', NEW.horizon_from, 'to', NEW.horizon_to)),
          NEW.horizon_ended_at);
  PERFORM refresh_conditions(NEW.id);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER end_horizon AFTER UPDATE OF horizon_ended_at ON outlooks FOR EACH ROW
  WHEN (OLD.horizon_ended_at IS NULL AND NEW.horizon_ended_at IS NOT NULL) EXECUTE FUNCTION end_horizon();
--> statement-breakpoint
CREATE OR REPLACE FUNCTION append_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  previous outlook_versions;
  outlook_status text;
  horizon_end timestamptz;
  reasons text[];
BEGIN
  NEW.transaction_id := pg_current_xact_id();
  UPDATE outlooks
     SET latest_version = NEW.version, published_at = NEW.recorded_at, transaction_id = NEW.transaction_id,
         hash = NEW.hash, framework_id = NEW.framework_id,
         bear_bps = NEW.bear_bps, base_bps = NEW.base_bps, bull_bps = NEW.bull_bps
   WHERE id = NEW.outlook_id AND latest_version = NEW.version - 1
  RETURNING status, horizon_to::timestamp AT TIME ZONE 'UTC', review_reasons
       INTO outlook_status, horizon_end, reasons;
  IF NOT FOUND THEN
    PERFORM refuse('outlook_versions_gapless', 'version ' || NEW.version || ' is not the next one');
  END IF;
  IF outlook_status <> 'open' THEN
    PERFORM refuse('outlook_versions_open', 'an outlook that is ' || outlook_status || ' takes no version');
  END IF;
  IF NEW.kind <> 'withdrawn' AND NEW.recorded_at >= horizon_end THEN
    PERFORM refuse('outlook_versions_horizon', 'the horizon is over');
  END IF;
  IF reasons <> '{}' AND NEW.kind <> 'withdrawn' THEN
    PERFORM refuse('outlook_versions_unanswered', 'a triggered condition is not answered');
  END IF;
  IF NEW.version = 1 THEN
    PERFORM note_forecaster(NEW.outlook_id, 'version', NEW.author_id, NEW.recorded_at);
    RETURN NEW;
  END IF;

  SELECT * INTO previous FROM outlook_versions
   WHERE outlook_id = NEW.outlook_id AND version = NEW.version - 1;
  IF previous.hash IS DISTINCT FROM NEW.previous_hash THEN
    PERFORM refuse('outlook_versions_hash_chain', 'previous_hash is not the hash of the version before');
  END IF;
  IF NEW.recorded_at < previous.recorded_at THEN
    PERFORM refuse('outlook_versions_time_order', 'recorded_at is before that of the version before');
  END IF;
  IF (NEW.kind = 'framework') IS DISTINCT FROM (NEW.framework_id <> previous.framework_id) THEN
    PERFORM refuse('outlook_versions_kind_of_change', 'a new framework and the kind "framework" go together');
  END IF;
  IF NEW.kind IN ('withdrawn', 'reaffirmed')
     AND (NEW.bear_bps, NEW.base_bps, NEW.bull_bps)
       IS DISTINCT FROM (previous.bear_bps, previous.base_bps, previous.bull_bps) THEN
    PERFORM refuse('outlook_versions_' || NEW.kind, 'what is ' || NEW.kind || ' is not revised');
  END IF;
  IF NEW.kind = 'withdrawn' THEN
    RETURN NEW;
  END IF;
  IF NEW.kind = 'probabilities' AND
     (NEW.bear_bps, NEW.base_bps, NEW.bull_bps) = (previous.bear_bps, previous.base_bps, previous.bull_bps) AND
     NOT EXISTS (SELECT FROM condition_answers WHERE outlook_id = NEW.outlook_id AND version = NEW.version) THEN
    PERFORM refuse('outlook_versions_change', 'the version changes nothing');
  END IF;
  IF NEW.author_id <> previous.author_id THEN
    PERFORM note_forecaster(NEW.outlook_id, 'version', NEW.author_id, NEW.recorded_at);
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
-- The scenario that a return over the horizon falls into, by the base scenario's band [low, high); null if an argument is.
CREATE FUNCTION outcome_of_return(value float8, low float8, high float8) RETURNS text
  IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql SET search_path = public, pg_temp
AS $$
  SELECT CASE WHEN value < low THEN 'bear' WHEN value < high THEN 'base' ELSE 'bull' END;
$$;
--> statement-breakpoint
-- What a resolution may not do without a reason: contradict its closes or its stated return, or use closes before the
-- last one of the horizon is in. That one is dated the last day, unless a later close shows that there is none.
CREATE FUNCTION refuse_unexplained(r resolutions, outlook outlooks) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  -- The CHECK resolutions_closes refuses other closes later, in its own words.
  has_closes boolean := coalesce(r.start_value > 0 AND num_nulls(r.start_date, r.end_date, r.end_value) = 0, false);
BEGIN
  IF has_closes AND r.outcome <> outcome_of_closes(r.start_value, r.end_value, r.band_low, r.band_high)
     OR r.outcome <> outcome_of_return(r.realised_return, r.band_low, r.band_high)
        AND NOT (has_closes AND r.realised_return = return_of_closes(r.start_value, r.end_value)) THEN
    PERFORM refuse('resolutions_contradiction', 'an outcome against the closes or the stated return takes a reason');
  END IF;
  IF has_closes AND r.band_low IS NOT NULL AND NOT EXISTS (
       SELECT FROM instruments i JOIN series s ON s.id = i.closes_id JOIN observations o ON o.series_id = s.id
        WHERE i.id = outlook.instrument_id AND o.superseded_at IS NULL AND o.value IS NOT NULL
          AND o.date >= outlook.horizon_to - 1 - CASE s.dated WHEN 'start' THEN 366 ELSE 0 END
          AND period_end(o.date, s.frequency, s.dated) >= outlook.horizon_to - 1) THEN
    PERFORM refuse('resolutions_close_awaited', 'the last close of the horizon is not in');
  END IF;
END $$;
--> statement-breakpoint
-- The latest time at which the outcome of a new resolution can have become known: when the last close was in, if the
-- closes decide it, otherwise when it is recorded. A correction keeps the time of the resolution before it, so that it
-- lengthens nothing; after a reopening the time starts over.
CREATE FUNCTION latest_known_at(r resolutions) RETURNS timestamptz
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF decided_by_closes(r) THEN
    RETURN least(r.recorded_at, (r.end_date + 1)::timestamp AT TIME ZONE 'UTC', (
      SELECT min(o.recorded_at) FROM outlooks l JOIN instruments i ON i.id = l.instrument_id
        JOIN series s ON s.id = i.closes_id JOIN observations o ON o.series_id = s.id
       WHERE l.id = r.outlook_id AND period_end(o.date, s.frequency, s.dated) = r.end_date AND o.value = r.end_value
         AND o.date BETWEEN r.end_date - CASE s.dated WHEN 'start' THEN 366 ELSE 0 END AND r.end_date));
  END IF;
  RETURN coalesce((
    SELECT p.known_at FROM resolutions p
     WHERE p.outlook_id = r.outlook_id AND p.number < r.number AND p.known_at IS NOT NULL
       AND p.number > coalesce((SELECT max(n.number) FROM resolutions n
                                 WHERE n.outlook_id = r.outlook_id AND n.reopens), 0)
     ORDER BY p.number DESC LIMIT 1), r.recorded_at);
END $$;
--> statement-breakpoint
-- When the outcome of a new resolution became known: as it states, within the horizon, or else at the latest possible time.
CREATE FUNCTION known_at_of(r resolutions, outlook outlooks) RETURNS timestamptz
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  latest timestamptz := latest_known_at(r);
BEGIN
  IF r.known_at > latest THEN
    PERFORM refuse('resolutions_known_late', 'the outcome was known at ' || latest || ' at the latest');
  END IF;
  IF r.known_at < latest THEN
    IF r.reason IS NULL THEN
      PERFORM refuse('resolutions_known_early', 'an outcome that was known earlier takes a reason');
    END IF;
    IF r.known_at < outlook.horizon_from::timestamp AT TIME ZONE 'UTC' THEN
      PERFORM refuse('resolutions_known_within', 'an outcome becomes known after the start of the horizon');
    END IF;
  END IF;
  RETURN coalesce(r.known_at, latest);
END $$;
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
    PERFORM refuse('resolutions_newest', 'a new resolution is the current one');
  END IF;
  IF NEW.reopens AND coalesce(newest.reopens, true) THEN
    PERFORM refuse('resolutions_reopens', 'there is no outcome to take back');
  END IF;
  IF NEW.reason IS NULL AND NOT coalesce(newest.reopens, true) THEN
    PERFORM refuse('resolutions_reason_given', 'a correction takes a reason');
  END IF;
  SELECT * INTO base FROM scenarios WHERE framework_id = outlook.framework_id AND name = 'base';
  IF (NEW.band_low, NEW.band_high) IS DISTINCT FROM (base.return_min, base.return_max) THEN
    PERFORM refuse('resolutions_band_stands', 'the band is not that of the current framework');
  END IF;
  NEW.recorded_at := greatest(NEW.recorded_at, newest.recorded_at, outlook.published_at);
  IF NEW.recorded_at < outlook.horizon_to::timestamp AT TIME ZONE 'UTC' THEN
    IF NEW.reason IS NULL THEN
      PERFORM refuse('resolutions_early', 'a resolution before the end of the horizon takes a reason');
    END IF;
    IF NEW.end_date IS NOT NULL THEN
      PERFORM refuse('resolutions_early', 'closes decide nothing before the end of the horizon');
    END IF;
  END IF;
  IF NEW.start_date >= outlook.horizon_from
     OR NOT (NEW.end_date >= outlook.horizon_from AND NEW.end_date < outlook.horizon_to) THEN
    PERFORM refuse('resolutions_closes_of_horizon', 'the closes are not those of the horizon');
  END IF;
  IF NEW.reason IS NULL THEN
    PERFORM refuse_unexplained(NEW, outlook);
  END IF;
  IF NEW.outcome IS NOT NULL THEN
    NEW.known_at := known_at_of(NEW, outlook);
  END IF;
  UPDATE resolutions SET superseded_at = NEW.recorded_at
   WHERE outlook_id = NEW.outlook_id AND superseded_at IS NULL;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION apply_resolution() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id;
  IF NEW.outcome IS NOT NULL THEN
    PERFORM sum_up_forecasts(outlook, NEW);
  END IF;
  outlook.is_contradicted := false;
  IF outlook.status <> 'withdrawn' THEN
    outlook.status := CASE WHEN NEW.reopens THEN 'open' WHEN NEW.outcome IS NULL THEN 'void' ELSE 'resolved' END;
  END IF;
  UPDATE outlooks
     SET status = outlook.status, is_contradicted = false, review_reasons = review_reasons_of(outlook)
   WHERE id = NEW.outlook_id;
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES (CASE WHEN NEW.reopens THEN 'outlook.reopened' ELSE 'outlook.resolved' END,
          NEW.outlook_id, outlook.latest_version,
          CASE WHEN NEW.reopens THEN jsonb_build_object('number', NEW.number, 'reason', NEW.reason)
               ELSE jsonb_build_object('number', NEW.number, 'outcome', coalesce(NEW.outcome, 'void'),
                 'realisedReturn', NEW.realised_return, 'reason', NEW.reason,
                 'knownAt', to_char(NEW.known_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) END,
          NEW.recorded_at);
  RETURN NULL;
END $$;
--> statement-breakpoint
-- Closes contradict the current outcome only, and a row is added only if what they imply changes.
CREATE FUNCTION append_contradiction() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  resolution resolutions;
  newest resolution_contradictions;
BEGIN
  PERFORM FROM outlooks WHERE id = NEW.outlook_id FOR NO KEY UPDATE;
  SELECT * INTO resolution FROM resolutions WHERE outlook_id = NEW.outlook_id AND superseded_at IS NULL;
  IF resolution.number IS DISTINCT FROM NEW.number OR resolution.outcome IS NULL THEN
    PERFORM refuse('resolution_contradictions_current', 'closes contradict the current outcome only');
  END IF;
  SELECT * INTO newest FROM resolution_contradictions
   WHERE outlook_id = NEW.outlook_id AND number = NEW.number ORDER BY recorded_at DESC LIMIT 1;
  IF NEW.outcome IS NOT DISTINCT FROM newest.outcome THEN
    PERFORM refuse('resolution_contradictions_change', 'the closes imply the same outcome as before');
  END IF;
  IF NEW.outcome = resolution.outcome THEN
    PERFORM refuse('resolution_contradictions_outcome_differs', 'the closes imply the outcome of the resolution');
  END IF;
  IF NEW.start_value > 0 AND NEW.outcome IS DISTINCT FROM
       outcome_of_closes(NEW.start_value, NEW.end_value, resolution.band_low, resolution.band_high) THEN
    PERFORM refuse('resolution_contradictions_implied', 'the closes do not imply this outcome');
  END IF;
  NEW.recorded_at := greatest(NEW.recorded_at, resolution.recorded_at, newest.recorded_at + interval '1 millisecond');
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER append_contradiction BEFORE INSERT ON resolution_contradictions
  FOR EACH ROW EXECUTE FUNCTION append_contradiction();
--> statement-breakpoint
CREATE FUNCTION apply_contradiction() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id;
  outlook.is_contradicted := NEW.outcome IS NOT NULL;
  UPDATE outlooks SET is_contradicted = outlook.is_contradicted, review_reasons = review_reasons_of(outlook)
   WHERE id = NEW.outlook_id;
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES ('outlook.resolution.contradicted', NEW.outlook_id, outlook.latest_version,
          jsonb_build_object('number', NEW.number, 'outcome', NEW.outcome,
            'closes', CASE WHEN NEW.outcome IS NOT NULL THEN jsonb_build_object(
              'start', jsonb_build_object('date', NEW.start_date, 'value', NEW.start_value),
              'end', jsonb_build_object('date', NEW.end_date, 'value', NEW.end_value)) END),
          NEW.recorded_at);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER apply_contradiction AFTER INSERT ON resolution_contradictions
  FOR EACH ROW EXECUTE FUNCTION apply_contradiction();
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE DELETE ON resolution_contradictions FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_update BEFORE UPDATE ON resolution_contradictions FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON resolution_contradictions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
-- For the outlooks whose resolution a new close may contradict, by either end of their horizons.
CREATE INDEX outlooks_resolved_to ON outlooks (instrument_id, horizon_to) WHERE status <> 'open';
--> statement-breakpoint
CREATE INDEX outlooks_resolved_from ON outlooks (instrument_id, horizon_from) WHERE status <> 'open';
--> statement-breakpoint
ALTER TABLE outlooks DISABLE TRIGGER USER;
--> statement-breakpoint
ALTER TABLE resolution_contradictions DISABLE TRIGGER USER;
--> statement-breakpoint
-- Horizons that are over are noted without events. Maintenance notes those with conditions that it has yet to expire.
UPDATE outlooks o SET horizon_ended_at = now()
 WHERE o.status IN ('open', 'withdrawn') AND o.horizon_to <= (now() AT TIME ZONE 'UTC')::date AND NOT EXISTS (
   SELECT FROM invalidation_conditions c
    WHERE o.status = 'open' AND c.framework_id = o.framework_id
      AND coalesce((SELECT n.state FROM condition_changes n WHERE n.outlook_id = o.id AND n.key = c.key
                     ORDER BY n.id DESC LIMIT 1), 'untriggered') = 'untriggered');
--> statement-breakpoint
-- Resolutions without a reason that their own closes contradict: doubles put a return at the edge of a band into the
-- wrong scenario. They stay as they are, and are marked.
INSERT INTO resolution_contradictions (outlook_id, number, recorded_at, outcome, start_date, start_value, end_date, end_value)
SELECT r.outlook_id, r.number, greatest(now(), r.recorded_at),
       outcome_of_closes(r.start_value, r.end_value, r.band_low, r.band_high),
       r.start_date, r.start_value, r.end_date, r.end_value
  FROM resolutions r
 WHERE r.superseded_at IS NULL AND r.reason IS NULL
   AND r.outcome <> outcome_of_closes(r.start_value, r.end_value, r.band_low, r.band_high);
--> statement-breakpoint
UPDATE outlooks SET is_contradicted = true WHERE id IN (SELECT outlook_id FROM resolution_contradictions);
--> statement-breakpoint
UPDATE outlooks o SET review_reasons = review_reasons_of(o) WHERE horizon_ended_at IS NOT NULL OR is_contradicted;
--> statement-breakpoint
ALTER TABLE resolution_contradictions ENABLE TRIGGER USER;
--> statement-breakpoint
ALTER TABLE outlooks ENABLE TRIGGER USER;
