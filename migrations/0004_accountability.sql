-- Resolutions, withdrawals, views of analysts and what they add up to, and the sums of forecasts that track
-- records read. From src/db/schema/, but for what follows the first mark below.
CREATE TABLE "forecast_sums" (
	"outlook_id" bigint NOT NULL,
	"source" text NOT NULL,
	"analyst_id" uuid,
	"position" integer NOT NULL,
	"instrument_id" bigint NOT NULL,
	"due_on" date NOT NULL,
	"band_low" double precision,
	"band_high" double precision,
	"share" double precision NOT NULL,
	"bear" double precision NOT NULL,
	"base" double precision NOT NULL,
	"bull" double precision NOT NULL,
	"bear_squared" double precision NOT NULL,
	"base_squared" double precision NOT NULL,
	"bull_squared" double precision NOT NULL,
	"bear_log" double precision NOT NULL,
	"base_log" double precision NOT NULL,
	"bull_log" double precision NOT NULL,
	"buckets" "bytea" NOT NULL,
	"leads" "bytea" NOT NULL,
	CONSTRAINT "forecast_sums_of_analyst" UNIQUE NULLS NOT DISTINCT("analyst_id","source","outlook_id","position"),
	CONSTRAINT "forecast_sums_source" CHECK ("forecast_sums"."source" in ('version', 'view')),
	CONSTRAINT "forecast_sums_share" CHECK ("forecast_sums"."share" > 0 and "forecast_sums"."share" < 1.000001),
	CONSTRAINT "forecast_sums_packed" CHECK (octet_length("forecast_sums"."buckets") % 18 = 0 and octet_length("forecast_sums"."leads") = 44)
);
--> statement-breakpoint
CREATE TABLE "forecasters" (
	"outlook_id" bigint NOT NULL,
	"source" text NOT NULL,
	"analyst_id" uuid NOT NULL,
	"since" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "forecasters_outlook_id_source_analyst_id_pk" PRIMARY KEY("outlook_id","source","analyst_id"),
	CONSTRAINT "forecasters_source" CHECK ("forecasters"."source" in ('version', 'view'))
);
--> statement-breakpoint
CREATE TABLE "resolution_evidence" (
	"outlook_id" bigint NOT NULL,
	"number" integer NOT NULL,
	"position" integer NOT NULL,
	"evidence_id" uuid NOT NULL,
	CONSTRAINT "resolution_evidence_outlook_id_number_position_pk" PRIMARY KEY("outlook_id","number","position")
);
--> statement-breakpoint
CREATE TABLE "resolutions" (
	"outlook_id" bigint NOT NULL,
	"number" integer NOT NULL,
	"outcome" text,
	"realised_return" double precision,
	"reason" text,
	"band_low" double precision,
	"band_high" double precision,
	"start_date" date,
	"start_value" double precision,
	"end_date" date,
	"end_value" double precision,
	"author_id" uuid NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	"superseded_at" timestamp (3) with time zone,
	CONSTRAINT "resolutions_outlook_id_number_pk" PRIMARY KEY("outlook_id","number"),
	CONSTRAINT "resolutions_from_1" CHECK ("resolutions"."number" >= 1),
	CONSTRAINT "resolutions_outcome" CHECK ("resolutions"."outcome" in ('bear', 'base', 'bull')),
	CONSTRAINT "resolutions_realised_return" CHECK ("resolutions"."realised_return" > '-Infinity' and "resolutions"."realised_return" < 'Infinity'),
	CONSTRAINT "resolutions_band" CHECK (num_nulls("resolutions"."band_low", "resolutions"."band_high") in (0, 2) and ("resolutions"."band_low" < "resolutions"."band_high") is not false),
	CONSTRAINT "resolutions_closes" CHECK (num_nulls("resolutions"."start_date", "resolutions"."start_value", "resolutions"."end_date", "resolutions"."end_value") in (0, 4) and ("resolutions"."start_date" < "resolutions"."end_date" and "resolutions"."start_value" > 0 and "resolutions"."start_value" < 'Infinity' and "resolutions"."end_value" > '-Infinity' and "resolutions"."end_value" < 'Infinity') is not false),
	CONSTRAINT "resolutions_reason" CHECK ("resolutions"."reason" ~ '[^ \t\r\n]'),
	CONSTRAINT "resolutions_reason_given" CHECK ("resolutions"."reason" is not null or ("resolutions"."number" = 1 and "resolutions"."outcome" is not null)),
	CONSTRAINT "resolutions_contradiction" CHECK ("resolutions"."reason" is not null or "resolutions"."band_low" is null or (("resolutions"."outcome" = case when "resolutions"."end_value" / "resolutions"."start_value" - 1 < "resolutions"."band_low" then 'bear' when "resolutions"."end_value" / "resolutions"."start_value" - 1 < "resolutions"."band_high" then 'base' when "resolutions"."end_value" is not null then 'bull' end) is not false and ("resolutions"."outcome" = case when "resolutions"."realised_return" < "resolutions"."band_low" then 'bear' when "resolutions"."realised_return" < "resolutions"."band_high" then 'base' when "resolutions"."realised_return" is not null then 'bull' end) is not false)),
	CONSTRAINT "resolutions_superseded" CHECK ("resolutions"."superseded_at" >= "resolutions"."recorded_at"),
	CONSTRAINT "resolutions_recorded_at" CHECK (isfinite("resolutions"."recorded_at"))
);
--> statement-breakpoint
CREATE TABLE "version_views" (
	"outlook_id" bigint NOT NULL,
	"version" integer NOT NULL,
	"analyst_id" uuid NOT NULL,
	"view_version" integer NOT NULL,
	"weight" double precision NOT NULL,
	CONSTRAINT "version_views_outlook_id_version_analyst_id_pk" PRIMARY KEY("outlook_id","version","analyst_id"),
	CONSTRAINT "version_views_weight" CHECK ("version_views"."weight" >= 0 and "version_views"."weight" <= 1)
);
--> statement-breakpoint
CREATE TABLE "views" (
	"outlook_id" bigint NOT NULL,
	"analyst_id" uuid NOT NULL,
	"version" integer NOT NULL,
	"bear_bps" integer NOT NULL,
	"base_bps" integer NOT NULL,
	"bull_bps" integer NOT NULL,
	"rationale" text NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "views_outlook_id_analyst_id_version_pk" PRIMARY KEY("outlook_id","analyst_id","version"),
	CONSTRAINT "views_from_1" CHECK ("views"."version" >= 1),
	CONSTRAINT "views_probabilities_sum_to_1" CHECK ("views"."bear_bps" + "views"."base_bps" + "views"."bull_bps" = 10000),
	CONSTRAINT "views_probabilities_in_range" CHECK ("views"."bear_bps" between 0 and 10000 and "views"."base_bps" between 0 and 10000 and "views"."bull_bps" between 0 and 10000),
	CONSTRAINT "views_rationale" CHECK ("views"."rationale" ~ '[^ \t\r\n]'),
	CONSTRAINT "views_recorded_at" CHECK (isfinite("views"."recorded_at"))
);
--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_kind";--> statement-breakpoint
ALTER TABLE "outlook_versions" DROP CONSTRAINT "outlook_versions_kind";--> statement-breakpoint
ALTER TABLE "outlook_versions" ADD COLUMN "consensus_method" text;--> statement-breakpoint
ALTER TABLE "outlook_versions" ADD COLUMN "consensus_weights" text;--> statement-breakpoint
ALTER TABLE "forecast_sums" ADD CONSTRAINT "forecast_sums_outlook_id_outlooks_id_fk" FOREIGN KEY ("outlook_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "forecast_sums" ADD CONSTRAINT "forecast_sums_analyst_id_analysts_id_fk" FOREIGN KEY ("analyst_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "forecast_sums" ADD CONSTRAINT "forecast_sums_instrument_id_instruments_id_fk" FOREIGN KEY ("instrument_id") REFERENCES "public"."instruments"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "forecasters" ADD CONSTRAINT "forecasters_outlook_id_outlooks_id_fk" FOREIGN KEY ("outlook_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "forecasters" ADD CONSTRAINT "forecasters_analyst_id_analysts_id_fk" FOREIGN KEY ("analyst_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "resolution_evidence" ADD CONSTRAINT "resolution_evidence_resolution" FOREIGN KEY ("outlook_id","number") REFERENCES "public"."resolutions"("outlook_id","number") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "resolution_evidence" ADD CONSTRAINT "resolution_evidence_of_outlook" FOREIGN KEY ("outlook_id","evidence_id") REFERENCES "public"."evidence"("outlook_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "resolutions" ADD CONSTRAINT "resolutions_outlook_id_outlooks_id_fk" FOREIGN KEY ("outlook_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "resolutions" ADD CONSTRAINT "resolutions_author_id_analysts_id_fk" FOREIGN KEY ("author_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "version_views" ADD CONSTRAINT "version_views_version" FOREIGN KEY ("outlook_id","version") REFERENCES "public"."outlook_versions"("outlook_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "version_views" ADD CONSTRAINT "version_views_view" FOREIGN KEY ("outlook_id","analyst_id","view_version") REFERENCES "public"."views"("outlook_id","analyst_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "views" ADD CONSTRAINT "views_outlook_id_outlooks_id_fk" FOREIGN KEY ("outlook_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "views" ADD CONSTRAINT "views_analyst_id_analysts_id_fk" FOREIGN KEY ("analyst_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "forecast_sums_of_outlooks" ON "forecast_sums" USING btree ("outlook_id","position") WHERE "forecast_sums"."analyst_id" is null;--> statement-breakpoint
CREATE INDEX "forecast_sums_of_instrument" ON "forecast_sums" USING btree ("instrument_id","outlook_id","position") WHERE "forecast_sums"."analyst_id" is null;--> statement-breakpoint
CREATE INDEX "forecasters_of_analyst" ON "forecasters" USING btree ("analyst_id","source","outlook_id");--> statement-breakpoint
CREATE UNIQUE INDEX "resolutions_standing" ON "resolutions" USING btree ("outlook_id") WHERE "resolutions"."superseded_at" is null;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_kind" CHECK ("events"."kind" in ('outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.resolved', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published'));--> statement-breakpoint
ALTER TABLE "outlook_versions" ADD CONSTRAINT "outlook_versions_consensus" CHECK (num_nulls("outlook_versions"."consensus_method", "outlook_versions"."consensus_weights") in (0, 2) and ("outlook_versions"."consensus_method" in ('linear', 'logarithmic') and "outlook_versions"."consensus_weights" in ('equal', 'recency', 'skill')) is not false);--> statement-breakpoint
ALTER TABLE "outlook_versions" ADD CONSTRAINT "outlook_versions_kind" CHECK ("outlook_versions"."kind" in ('created', 'probabilities', 'framework', 'withdrawn'));
--> statement-breakpoint

-- Append-only ------------------------------------------------------------------------------------

DO $$
DECLARE
  ledger_table text;
BEGIN
  FOREACH ledger_table IN ARRAY ARRAY['resolutions', 'resolution_evidence', 'forecasters', 'forecast_sums',
    'views', 'version_views']
  LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE ON %I
      FOR EACH ROW EXECUTE FUNCTION refuse_change()', ledger_table);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', ledger_table);
    IF ledger_table <> 'resolutions' THEN
      EXECUTE format('CREATE TRIGGER append_only_update BEFORE UPDATE ON %I
        FOR EACH ROW EXECUTE FUNCTION refuse_change()', ledger_table);
    END IF;
  END LOOP;
END $$;
--> statement-breakpoint
-- What is derived comes in by the triggers that derive it, and by nothing else.
CREATE FUNCTION refuse_underived() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF pg_trigger_depth() = 1 THEN
    PERFORM refuse(TG_TABLE_NAME || '_derived', 'rows follow from versions, views and resolutions');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER derived BEFORE INSERT ON forecasters FOR EACH ROW EXECUTE FUNCTION refuse_underived();
--> statement-breakpoint
CREATE TRIGGER derived BEFORE INSERT ON forecast_sums FOR EACH ROW EXECUTE FUNCTION refuse_underived();
--> statement-breakpoint

-- Versions: who forecasts, and the last one of an outlook that is withdrawn ------------------------

CREATE FUNCTION note_forecaster(outlook bigint, source text, analyst uuid, since timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO forecasters (outlook_id, source, analyst_id, since) VALUES (outlook, source, analyst, since)
  ON CONFLICT DO NOTHING;
END $$;
--> statement-breakpoint
ALTER TABLE forecasters DISABLE TRIGGER derived;
--> statement-breakpoint
INSERT INTO forecasters (outlook_id, source, analyst_id, since)
SELECT outlook_id, 'version', author_id, min(recorded_at) FROM outlook_versions GROUP BY outlook_id, author_id;
--> statement-breakpoint
ALTER TABLE forecasters ENABLE TRIGGER derived;
--> statement-breakpoint
-- As before, but that who writes a version is noted, and that a withdrawal needs no answer to what is owed and
-- changes nothing else.
CREATE OR REPLACE FUNCTION append_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  previous outlook_versions;
  outlook_status text;
  reasons text[];
BEGIN
  NEW.transaction_id := pg_current_xact_id();
  UPDATE outlooks
     SET latest_version = NEW.version, published_at = NEW.recorded_at, transaction_id = NEW.transaction_id,
         hash = NEW.hash, framework_id = NEW.framework_id,
         bear_bps = NEW.bear_bps, base_bps = NEW.base_bps, bull_bps = NEW.bull_bps
   WHERE id = NEW.outlook_id AND latest_version = NEW.version - 1
  RETURNING status, review_reasons INTO outlook_status, reasons;
  IF NOT FOUND THEN
    PERFORM refuse('outlook_versions_gapless', 'version ' || NEW.version || ' is not the next one');
  END IF;
  IF outlook_status <> 'open' THEN
    PERFORM refuse('outlook_versions_open', 'an outlook that is ' || outlook_status || ' takes no version');
  END IF;
  IF reasons <> '{}' AND NEW.kind <> 'withdrawn' THEN
    PERFORM refuse('outlook_versions_unanswered', 'a condition stands triggered and is not answered');
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
  IF NEW.kind = 'withdrawn' THEN
    IF (NEW.bear_bps, NEW.base_bps, NEW.bull_bps)
       IS DISTINCT FROM (previous.bear_bps, previous.base_bps, previous.bull_bps) THEN
      PERFORM refuse('outlook_versions_withdrawn', 'what is withdrawn is not revised');
    END IF;
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
CREATE FUNCTION withdraw_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE outlooks SET status = 'withdrawn', review_reasons = '{}' WHERE id = NEW.outlook_id;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER withdraw_outlook AFTER INSERT ON outlook_versions
  FOR EACH ROW WHEN (NEW.kind = 'withdrawn') EXECUTE FUNCTION withdraw_outlook();
--> statement-breakpoint

-- Outlooks: only a withdrawal or a resolution closes one --------------------------------------------

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
  RETURN NEW;
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
  RETURN NEW;
END $$;
--> statement-breakpoint
-- As before, but that the conditions of an outlook that is closed stay as they are: nothing is owed of it.
CREATE OR REPLACE FUNCTION append_condition_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
  newest condition_changes;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id FOR NO KEY UPDATE;
  IF outlook.status <> 'open' THEN
    PERFORM refuse('condition_changes_open', 'an outlook that is ' || outlook.status || ' is not judged any more');
  END IF;
  SELECT * INTO newest FROM condition_changes
   WHERE outlook_id = NEW.outlook_id AND key = NEW.key ORDER BY id DESC LIMIT 1;
  IF NEW.state = coalesce(newest.state, 'untriggered') THEN
    PERFORM refuse('condition_changes_change', 'the condition is ' || NEW.state || ' already');
  END IF;
  IF NOT EXISTS (SELECT FROM invalidation_conditions c
                  WHERE c.framework_id = outlook.framework_id AND c.key = NEW.key
                    AND c.invalidates = NEW.invalidates) THEN
    PERFORM refuse('condition_changes_condition', 'the outlook that stands has no such condition');
  END IF;
  NEW.version := outlook.latest_version;
  NEW.recorded_at := greatest(NEW.recorded_at, newest.recorded_at, outlook.published_at);
  RETURN NEW;
END $$;
--> statement-breakpoint

-- Resolutions -------------------------------------------------------------------------------------

CREATE FUNCTION append_resolution() RETURNS trigger
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
  UPDATE resolutions SET superseded_at = NEW.recorded_at
   WHERE outlook_id = NEW.outlook_id AND superseded_at IS NULL;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER append_resolution BEFORE INSERT ON resolutions
  FOR EACH ROW EXECUTE FUNCTION append_resolution();
--> statement-breakpoint
CREATE FUNCTION guard_resolution() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  superseded resolutions := OLD;
BEGIN
  superseded.superseded_at := NEW.superseded_at;
  IF pg_trigger_depth() = 1 OR OLD.superseded_at IS NOT NULL OR NEW IS DISTINCT FROM superseded THEN
    PERFORM refuse('resolutions_append_only', 'UPDATE is refused: only a new resolution supersedes one');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_resolution BEFORE UPDATE ON resolutions
  FOR EACH ROW EXECUTE FUNCTION guard_resolution();
--> statement-breakpoint
-- What was said over the horizon, until it ended or the outlook was closed: by its versions and by who wrote
-- each, apart where return bands differ, and by who holds views. A part of a forecast's time that is outside
-- the horizon is left out, and so is a forecast that never stood within it.
CREATE FUNCTION sum_up_forecasts(outlook outlooks, closed_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  opens timestamptz := outlook.horizon_from::timestamp AT TIME ZONE 'UTC';
  whole float8 := extract(epoch FROM outlook.horizon_to::timestamp AT TIME ZONE 'UTC' - opens);
  last timestamptz := least(outlook.horizon_to::timestamp AT TIME ZONE 'UTC', closed_at, (
    SELECT v.recorded_at FROM outlook_versions v
     WHERE v.outlook_id = outlook.id AND v.version = outlook.latest_version AND v.kind = 'withdrawn'));
BEGIN
  INSERT INTO forecast_sums (outlook_id, source, analyst_id, position, instrument_id, due_on, band_low, band_high,
      share, bear, base, bull, bear_squared, base_squared, bull_squared, bear_log, base_log, bull_log,
      buckets, leads)
  WITH told AS (
    SELECT 'version' AS source, v.author_id AS analyst_id, v.version, b.return_min AS low, b.return_max AS high,
        v.bear_bps, v.base_bps, v.bull_bps, v.recorded_at AS starts,
        lead(v.recorded_at) OVER (ORDER BY v.version) AS ends
      FROM outlook_versions v JOIN scenarios b ON b.framework_id = v.framework_id AND b.name = 'base'
     WHERE v.outlook_id = outlook.id
    UNION ALL
    SELECT 'view', w.analyst_id, w.version, NULL, NULL, w.bear_bps, w.base_bps, w.bull_bps, w.recorded_at,
        lead(w.recorded_at) OVER (PARTITION BY w.analyst_id ORDER BY w.version)
      FROM views w WHERE w.outlook_id = outlook.id
  ), timed AS (
    SELECT told.*, (extract(epoch FROM greatest(told.starts, opens) - opens) / whole)::float8 AS from_part,
        (extract(epoch FROM least(coalesce(told.ends, last), last) - opens) / whole)::float8 AS to_part
      FROM told WHERE least(coalesce(told.ends, last), last) > greatest(told.starts, opens)
  ), attributed AS (
    SELECT * FROM timed
    UNION ALL
    SELECT source, NULL, version, low, high, bear_bps, base_bps, bull_bps, starts, ends, from_part, to_part
      FROM timed WHERE source = 'version'
  ), forecasts AS (
    SELECT *, to_part - from_part AS w, bear_bps / 10000::float8 AS p_bear, base_bps / 10000::float8 AS p_base,
        bull_bps / 10000::float8 AS p_bull,
        dense_rank() OVER (ORDER BY source, analyst_id, low, high) AS part
      FROM attributed
  ), sums AS (
    SELECT part, source, analyst_id, low, high, min(version) AS version, sum(w) AS share,
        sum(w * p_bear) AS bear, sum(w * p_base) AS base, sum(w * p_bull) AS bull,
        sum(w * p_bear ^ 2) AS bear_squared, sum(w * p_base ^ 2) AS base_squared,
        sum(w * p_bull ^ 2) AS bull_squared, sum(w * surprise(p_bear)) AS bear_log,
        sum(w * surprise(p_base)) AS base_log, sum(w * surprise(p_bull)) AS bull_log
      FROM forecasts GROUP BY part, source, analyst_id, low, high
  ), bucketed AS (
    SELECT part, 10 * scenario + least(9, bps / 1000) AS bucket, sum(w) AS weight,
        sum(w * bps / 10000) AS predicted
      FROM forecasts CROSS JOIN LATERAL (VALUES (0, bear_bps), (1, base_bps), (2, bull_bps)) AS p (scenario, bps)
     GROUP BY part, 2
  ), buckets AS (
    SELECT part, string_agg(int2send(bucket::int2) || float8send(weight) || float8send(predicted), ''
        ORDER BY bucket) AS packed
      FROM bucketed GROUP BY part
  ), leads AS (
    SELECT sums.part, string_agg(int2send(coalesce(f.bear_bps, -1)::int2) ||
        int2send(coalesce(f.base_bps, -1)::int2), '' ORDER BY tenth) AS packed
      FROM sums CROSS JOIN generate_series(0, 10) AS tenth
      -- What stands up to the very end of the horizon stands at it.
      LEFT JOIN forecasts f ON f.part = sums.part AND f.from_part <= tenth / 10::float8
        AND (tenth / 10::float8 < f.to_part OR tenth = 10 AND f.to_part = 1)
     GROUP BY sums.part
  )
  SELECT outlook.id, source, analyst_id, row_number() OVER (PARTITION BY source, analyst_id ORDER BY version),
      outlook.instrument_id, outlook.horizon_to, low, high, share, bear, base, bull,
      bear_squared, base_squared, bull_squared, bear_log, base_log, bull_log, buckets.packed, leads.packed
    FROM sums JOIN buckets USING (part) JOIN leads USING (part);
END $$;
--> statement-breakpoint
-- −ln p; infinite at 0, where Postgres has no logarithm.
CREATE FUNCTION surprise(p float8) RETURNS float8
LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
  SELECT CASE WHEN p = 0 THEN 'Infinity' ELSE -ln(p) END;
$$;
--> statement-breakpoint
CREATE FUNCTION apply_resolution() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id;
  IF NEW.number = 1 THEN
    PERFORM sum_up_forecasts(outlook, NEW.recorded_at);
  END IF;
  UPDATE outlooks SET status = CASE WHEN NEW.outcome IS NULL THEN 'void' ELSE 'resolved' END, review_reasons = '{}'
   WHERE id = NEW.outlook_id AND status <> 'withdrawn';
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES ('outlook.resolved', NEW.outlook_id, outlook.latest_version,
          jsonb_build_object('number', NEW.number, 'outcome', coalesce(NEW.outcome, 'void'),
            'realisedReturn', NEW.realised_return, 'reason', NEW.reason),
          NEW.recorded_at);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER apply_resolution AFTER INSERT ON resolutions
  FOR EACH ROW EXECUTE FUNCTION apply_resolution();
--> statement-breakpoint

-- Views -------------------------------------------------------------------------------------------

CREATE FUNCTION append_view() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
  newest views;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id FOR NO KEY UPDATE;
  IF outlook.status <> 'open' THEN
    PERFORM refuse('views_open', 'an outlook that is ' || outlook.status || ' takes no view');
  END IF;
  SELECT * INTO newest FROM views
   WHERE outlook_id = NEW.outlook_id AND analyst_id = NEW.analyst_id ORDER BY version DESC LIMIT 1;
  IF NEW.version <> coalesce(newest.version, 0) + 1 THEN
    PERFORM refuse('views_gapless', 'version ' || NEW.version || ' is not the next one');
  END IF;
  IF (NEW.bear_bps, NEW.base_bps, NEW.bull_bps, NEW.rationale)
     = (newest.bear_bps, newest.base_bps, newest.bull_bps, newest.rationale) THEN
    PERFORM refuse('views_change', 'the view says what it said');
  END IF;
  NEW.recorded_at := greatest(NEW.recorded_at, newest.recorded_at);
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER append_view BEFORE INSERT ON views FOR EACH ROW EXECUTE FUNCTION append_view();
--> statement-breakpoint
CREATE FUNCTION announce_view() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.version = 1 THEN
    PERFORM note_forecaster(NEW.outlook_id, 'view', NEW.analyst_id, NEW.recorded_at);
  END IF;
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  SELECT 'view.published', o.id, o.latest_version,
         jsonb_build_object('analyst', jsonb_build_object('id', a.id, 'name', a.name), 'version', NEW.version,
           'probabilities', jsonb_build_object('bear', NEW.bear_bps, 'base', NEW.base_bps, 'bull', NEW.bull_bps)),
         NEW.recorded_at
    FROM outlooks o, analysts a WHERE o.id = NEW.outlook_id AND a.id = NEW.analyst_id;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER announce_view AFTER INSERT ON views FOR EACH ROW EXECUTE FUNCTION announce_view();
--> statement-breakpoint
-- A consensus is published with the views that it pooled; nothing is added to it later.
CREATE FUNCTION guard_version_view() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM outlook_versions v
     WHERE v.outlook_id = NEW.outlook_id AND v.version = NEW.version
       AND v.consensus_method IS NOT NULL AND v.transaction_id = pg_current_xact_id()) THEN
    PERFORM refuse('version_views_consensus', 'views are recorded with the consensus that they make');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_version_view BEFORE INSERT ON version_views
  FOR EACH ROW EXECUTE FUNCTION guard_version_view();
--> statement-breakpoint
CREATE FUNCTION require_pooled_views() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF abs((SELECT coalesce(sum(weight), 0) FROM version_views
           WHERE outlook_id = NEW.outlook_id AND version = NEW.version) - 1) > 1e-9 THEN
    PERFORM refuse('outlook_versions_pooled_views', 'a consensus records its views, whose weights sum to 1');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER require_pooled_views AFTER INSERT ON outlook_versions
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.consensus_method IS NOT NULL)
  EXECUTE FUNCTION require_pooled_views();
