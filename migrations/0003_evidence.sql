-- Evidence, series with vintages, rules of conditions, and what became of each condition. From
-- src/db/schema/, but for two keys that are deferred and for what follows the first mark below.
CREATE TABLE "condition_answers" (
	"change_id" bigint PRIMARY KEY NOT NULL,
	"outlook_id" bigint NOT NULL,
	"version" integer NOT NULL,
	"way" text NOT NULL,
	"reason" text,
	CONSTRAINT "condition_answers_way" CHECK ("condition_answers"."way" in ('weight', 'acknowledged')),
	CONSTRAINT "condition_answers_reason" CHECK (("condition_answers"."way" = 'acknowledged') = ("condition_answers"."reason" is not null))
);
--> statement-breakpoint
CREATE TABLE "condition_changes" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "condition_changes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"outlook_id" bigint NOT NULL,
	"key" text NOT NULL,
	"state" text NOT NULL,
	"cause" text NOT NULL,
	"invalidates" text NOT NULL,
	"version" integer NOT NULL,
	"reason" text NOT NULL,
	"day" date,
	"observations" json NOT NULL,
	"author_id" uuid,
	"rationale" text,
	"override_reason" text,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "condition_changes_outlook" UNIQUE("outlook_id","id"),
	CONSTRAINT "condition_changes_state" CHECK ("condition_changes"."state" in ('untriggered', 'triggered', 'expired')),
	CONSTRAINT "condition_changes_cause" CHECK ("condition_changes"."cause" in ('observations', 'assessment', 'framework', 'horizon')),
	CONSTRAINT "condition_changes_invalidates" CHECK ("condition_changes"."invalidates" in ('bear', 'base', 'bull')),
	CONSTRAINT "condition_changes_assessed" CHECK (num_nulls("condition_changes"."author_id", "condition_changes"."rationale") = case when "condition_changes"."cause" = 'assessment' then 0 else 2 end and ("condition_changes"."override_reason" is null or "condition_changes"."cause" = 'assessment')),
	CONSTRAINT "condition_changes_reason" CHECK ("condition_changes"."reason" <> ''),
	CONSTRAINT "condition_changes_observations" CHECK (json_typeof("condition_changes"."observations") = 'array')
);
--> statement-breakpoint
CREATE TABLE "condition_comparisons" (
	"framework_id" bigint NOT NULL,
	"condition_key" text NOT NULL,
	"position" integer NOT NULL,
	"series_id" bigint NOT NULL,
	"operator" text NOT NULL,
	"threshold" double precision NOT NULL,
	"for_observations" integer NOT NULL,
	CONSTRAINT "condition_comparisons_framework_id_condition_key_position_pk" PRIMARY KEY("framework_id","condition_key","position"),
	CONSTRAINT "condition_comparisons_operator" CHECK ("condition_comparisons"."operator" in ('lt', 'lte', 'gt', 'gte', 'crossesAbove', 'crossesBelow')),
	CONSTRAINT "condition_comparisons_threshold" CHECK ("condition_comparisons"."threshold" > '-Infinity' and "condition_comparisons"."threshold" < 'Infinity'),
	CONSTRAINT "condition_comparisons_for_observations" CHECK ("condition_comparisons"."for_observations" between 1 and 1000)
);
--> statement-breakpoint
CREATE TABLE "condition_evidence" (
	"outlook_id" bigint NOT NULL,
	"change_id" bigint NOT NULL,
	"position" integer NOT NULL,
	"evidence_id" uuid NOT NULL,
	CONSTRAINT "condition_evidence_change_id_position_pk" PRIMARY KEY("change_id","position")
);
--> statement-breakpoint
CREATE TABLE "drawdown_changes" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "drawdown_changes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"outlook_id" bigint NOT NULL,
	"version" integer NOT NULL,
	"label" text,
	"depth" double precision NOT NULL,
	"day" date NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "drawdown_changes_depth" CHECK ("drawdown_changes"."depth" >= 0 and "drawdown_changes"."depth" < 'Infinity')
);
--> statement-breakpoint
CREATE TABLE "evidence" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"outlook_id" bigint NOT NULL,
	"number" integer NOT NULL,
	"headline" text NOT NULL,
	"summary" text NOT NULL,
	"publisher" text NOT NULL,
	"url" text,
	"published_at" timestamp (3) with time zone NOT NULL,
	"sentiment_score" double precision,
	"sentiment_label" text,
	"sentiment_min" double precision,
	"sentiment_max" double precision,
	"sentiment_provider" text,
	"tickers" json NOT NULL,
	"corrects" uuid,
	"author_id" uuid NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "evidence_number" UNIQUE("outlook_id","number"),
	CONSTRAINT "evidence_of_outlook" UNIQUE("outlook_id","id"),
	CONSTRAINT "evidence_corrected_once" UNIQUE("corrects"),
	CONSTRAINT "evidence_number_from_1" CHECK ("evidence"."number" >= 1),
	CONSTRAINT "evidence_not_from_the_future" CHECK ("evidence"."published_at" <= "evidence"."recorded_at"),
	CONSTRAINT "evidence_moments" CHECK (isfinite("evidence"."published_at") and isfinite("evidence"."recorded_at")),
	CONSTRAINT "evidence_sentiment_whole" CHECK (num_nulls("evidence"."sentiment_score", "evidence"."sentiment_label", "evidence"."sentiment_min", "evidence"."sentiment_max", "evidence"."sentiment_provider") in (0, 5)),
	CONSTRAINT "evidence_sentiment_on_scale" CHECK (("evidence"."sentiment_min" > '-Infinity' and "evidence"."sentiment_max" < 'Infinity' and "evidence"."sentiment_min" < "evidence"."sentiment_max" and "evidence"."sentiment_score" between "evidence"."sentiment_min" and "evidence"."sentiment_max") is not false),
	CONSTRAINT "evidence_tickers" CHECK (json_typeof("evidence"."tickers") = 'array')
);
--> statement-breakpoint
CREATE TABLE "evidence_claims" (
	"evidence_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"statement" text NOT NULL,
	"effect" text NOT NULL,
	"target_kind" text NOT NULL,
	"target_key" text NOT NULL,
	"horizon" text NOT NULL,
	"condition" text,
	"range_min" double precision,
	"range_max" double precision,
	"range_unit" text,
	CONSTRAINT "evidence_claims_evidence_id_position_pk" PRIMARY KEY("evidence_id","position"),
	CONSTRAINT "evidence_claims_effect" CHECK ("evidence_claims"."effect" in ('supports', 'weakens')),
	CONSTRAINT "evidence_claims_target" CHECK ("evidence_claims"."target_kind" in ('scenario', 'headwind', 'condition')),
	CONSTRAINT "evidence_claims_horizon" CHECK ("evidence_claims"."horizon" in ('days', 'weeks', 'months', 'quarters')),
	CONSTRAINT "evidence_claims_range" CHECK (num_nulls("evidence_claims"."range_min", "evidence_claims"."range_max", "evidence_claims"."range_unit") in (0, 3) and ("evidence_claims"."range_min" > '-Infinity' and "evidence_claims"."range_max" < 'Infinity' and "evidence_claims"."range_min" <= "evidence_claims"."range_max") is not false)
);
--> statement-breakpoint
CREATE TABLE "version_evidence" (
	"outlook_id" bigint NOT NULL,
	"version" integer NOT NULL,
	"position" integer NOT NULL,
	"evidence_id" uuid NOT NULL,
	CONSTRAINT "version_evidence_outlook_id_version_position_pk" PRIMARY KEY("outlook_id","version","position"),
	CONSTRAINT "version_evidence_once" UNIQUE("evidence_id","version"),
	CONSTRAINT "version_evidence_position" CHECK ("version_evidence"."position" >= 0)
);
--> statement-breakpoint
CREATE TABLE "observations" (
	"series_id" bigint NOT NULL,
	"date" date NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	"value" double precision NOT NULL,
	"provenance" text NOT NULL,
	"note" text,
	"superseded_at" timestamp (3) with time zone,
	CONSTRAINT "observations_series_id_date_recorded_at_pk" PRIMARY KEY("series_id","date","recorded_at"),
	CONSTRAINT "observations_value" CHECK ("observations"."value" > '-Infinity' and "observations"."value" < 'Infinity'),
	CONSTRAINT "observations_date" CHECK (isfinite("observations"."date")),
	CONSTRAINT "observations_recorded_at" CHECK (isfinite("observations"."recorded_at") and ("observations"."superseded_at" > "observations"."recorded_at") is not false),
	CONSTRAINT "observations_provenance" CHECK ("observations"."provenance" in ('sourced', 'editorial', 'illustrative', 'computed'))
);
--> statement-breakpoint
CREATE TABLE "series" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "series_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"key" text NOT NULL,
	"name" text NOT NULL,
	"unit" text NOT NULL,
	"frequency" text NOT NULL,
	"source" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "series_key_unique" UNIQUE("key"),
	CONSTRAINT "series_key" CHECK ("series"."key" ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length("series"."key") <= 100),
	CONSTRAINT "series_frequency" CHECK ("series"."frequency" in ('daily', 'weekly', 'biweekly', 'monthly', 'quarterly', 'semiannual', 'annual'))
);
--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_kind";--> statement-breakpoint
ALTER TABLE "drawdown_labels" ADD COLUMN "speed_depth" double precision;--> statement-breakpoint
ALTER TABLE "drawdown_labels" ADD COLUMN "speed_days" integer;--> statement-breakpoint
ALTER TABLE "invalidation_conditions" ADD COLUMN "combination" text;--> statement-breakpoint
ALTER TABLE "instruments" ADD COLUMN "closes_id" bigint;--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "condition_states" jsonb DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "condition_answers" ADD CONSTRAINT "condition_answers_version" FOREIGN KEY ("outlook_id","version") REFERENCES "public"."outlook_versions"("outlook_id","version") ON DELETE no action ON UPDATE no action DEFERRABLE INITIALLY DEFERRED;--> statement-breakpoint
ALTER TABLE "condition_answers" ADD CONSTRAINT "condition_answers_change" FOREIGN KEY ("outlook_id","change_id") REFERENCES "public"."condition_changes"("outlook_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "condition_changes" ADD CONSTRAINT "condition_changes_outlook_id_outlooks_id_fk" FOREIGN KEY ("outlook_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "condition_changes" ADD CONSTRAINT "condition_changes_author_id_analysts_id_fk" FOREIGN KEY ("author_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "condition_changes" ADD CONSTRAINT "condition_changes_version" FOREIGN KEY ("outlook_id","version") REFERENCES "public"."outlook_versions"("outlook_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "condition_comparisons" ADD CONSTRAINT "condition_comparisons_framework_id_frameworks_id_fk" FOREIGN KEY ("framework_id") REFERENCES "public"."frameworks"("id") ON DELETE no action ON UPDATE no action DEFERRABLE INITIALLY DEFERRED;--> statement-breakpoint
ALTER TABLE "condition_comparisons" ADD CONSTRAINT "condition_comparisons_series_id_series_id_fk" FOREIGN KEY ("series_id") REFERENCES "public"."series"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "condition_comparisons" ADD CONSTRAINT "condition_comparisons_condition" FOREIGN KEY ("framework_id","condition_key") REFERENCES "public"."invalidation_conditions"("framework_id","key") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "condition_evidence" ADD CONSTRAINT "condition_evidence_change" FOREIGN KEY ("outlook_id","change_id") REFERENCES "public"."condition_changes"("outlook_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "condition_evidence" ADD CONSTRAINT "condition_evidence_of_outlook" FOREIGN KEY ("outlook_id","evidence_id") REFERENCES "public"."evidence"("outlook_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drawdown_changes" ADD CONSTRAINT "drawdown_changes_outlook_id_outlooks_id_fk" FOREIGN KEY ("outlook_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drawdown_changes" ADD CONSTRAINT "drawdown_changes_version" FOREIGN KEY ("outlook_id","version") REFERENCES "public"."outlook_versions"("outlook_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "evidence" ADD CONSTRAINT "evidence_outlook_id_outlooks_id_fk" FOREIGN KEY ("outlook_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "evidence" ADD CONSTRAINT "evidence_author_id_analysts_id_fk" FOREIGN KEY ("author_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "evidence" ADD CONSTRAINT "evidence_corrects" FOREIGN KEY ("outlook_id","corrects") REFERENCES "public"."evidence"("outlook_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "evidence_claims" ADD CONSTRAINT "evidence_claims_evidence_id_evidence_id_fk" FOREIGN KEY ("evidence_id") REFERENCES "public"."evidence"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "version_evidence" ADD CONSTRAINT "version_evidence_version" FOREIGN KEY ("outlook_id","version") REFERENCES "public"."outlook_versions"("outlook_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "version_evidence" ADD CONSTRAINT "version_evidence_of_outlook" FOREIGN KEY ("outlook_id","evidence_id") REFERENCES "public"."evidence"("outlook_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "observations" ADD CONSTRAINT "observations_series_id_series_id_fk" FOREIGN KEY ("series_id") REFERENCES "public"."series"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "condition_answers_of_version" ON "condition_answers" USING btree ("outlook_id","version");--> statement-breakpoint
CREATE INDEX "condition_changes_of_outlook" ON "condition_changes" USING btree ("outlook_id","key","id");--> statement-breakpoint
CREATE INDEX "condition_comparisons_of_series" ON "condition_comparisons" USING btree ("series_id","framework_id");--> statement-breakpoint
CREATE INDEX "drawdown_changes_of_outlook" ON "drawdown_changes" USING btree ("outlook_id","id");--> statement-breakpoint
CREATE UNIQUE INDEX "observations_standing" ON "observations" USING btree ("series_id","date") WHERE "observations"."superseded_at" is null;--> statement-breakpoint
CREATE INDEX "observations_recorded" ON "observations" USING btree ("series_id","recorded_at");--> statement-breakpoint
ALTER TABLE "instruments" ADD CONSTRAINT "instruments_closes_id_series_id_fk" FOREIGN KEY ("closes_id") REFERENCES "public"."series"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_kind" CHECK ("events"."kind" in ('outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed'));--> statement-breakpoint
ALTER TABLE "drawdown_labels" ADD CONSTRAINT "drawdown_labels_speed" CHECK (num_nulls("drawdown_labels"."speed_depth", "drawdown_labels"."speed_days") in (0, 2) and num_nonnulls("drawdown_labels"."min_depth", "drawdown_labels"."speed_depth") <= 1 and ("drawdown_labels"."speed_depth" > 0 and "drawdown_labels"."speed_depth" <= 1 and "drawdown_labels"."speed_days" between 1 and 3660) is not false);--> statement-breakpoint
ALTER TABLE "invalidation_conditions" ADD CONSTRAINT "invalidation_conditions_combination" CHECK ("invalidation_conditions"."combination" in ('all', 'any'));--> statement-breakpoint
ALTER TABLE "outlooks" ADD CONSTRAINT "outlooks_condition_states" CHECK (jsonb_typeof("outlooks"."condition_states") = 'object');
--> statement-breakpoint

-- Append-only ------------------------------------------------------------------------------------

DO $$
DECLARE
  ledger_table text;
BEGIN
  FOREACH ledger_table IN ARRAY ARRAY['series', 'observations', 'condition_comparisons', 'evidence',
    'evidence_claims', 'version_evidence', 'condition_changes', 'condition_evidence', 'condition_answers',
    'drawdown_changes']
  LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE ON %I
      FOR EACH ROW EXECUTE FUNCTION refuse_change()', ledger_table);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', ledger_table);
    IF ledger_table <> 'observations' THEN
      EXECUTE format('CREATE TRIGGER append_only_update BEFORE UPDATE ON %I
        FOR EACH ROW EXECUTE FUNCTION refuse_change()', ledger_table);
    END IF;
  END LOOP;
END $$;
--> statement-breakpoint

-- Instruments: the series of the closes is named once ---------------------------------------------

DROP TRIGGER append_only_update ON instruments;
--> statement-breakpoint
CREATE FUNCTION guard_instrument() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.symbol, NEW.name, NEW.kind, NEW.created_at)
     IS DISTINCT FROM (OLD.id, OLD.symbol, OLD.name, OLD.kind, OLD.created_at) THEN
    PERFORM refuse('instruments_append_only', 'UPDATE is refused: an instrument stays what it is');
  END IF;
  IF OLD.closes_id IS NOT NULL AND NEW.closes_id IS DISTINCT FROM OLD.closes_id THEN
    PERFORM refuse('instruments_closes_final', 'an instrument keeps the series of its closes');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_instrument BEFORE UPDATE ON instruments
  FOR EACH ROW EXECUTE FUNCTION guard_instrument();
--> statement-breakpoint

-- Observations: a day has one newest vintage ------------------------------------------------------

-- A new vintage supersedes the one before, and comes later. What the newest is stands on the row, so
-- that reading what is known now costs the same however often it was revised.
CREATE FUNCTION supersede_observation() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.superseded_at IS NOT NULL THEN
    PERFORM refuse('observations_newest', 'a vintage comes in as the newest of its day');
  END IF;
  UPDATE observations SET superseded_at = NEW.recorded_at
   WHERE series_id = NEW.series_id AND date = NEW.date AND superseded_at IS NULL;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER supersede_observation BEFORE INSERT ON observations
  FOR EACH ROW EXECUTE FUNCTION supersede_observation();
--> statement-breakpoint
CREATE FUNCTION guard_observation() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF pg_trigger_depth() = 1 OR OLD.superseded_at IS NOT NULL OR
     (NEW.series_id, NEW.date, NEW.recorded_at, NEW.value, NEW.provenance, NEW.note)
     IS DISTINCT FROM (OLD.series_id, OLD.date, OLD.recorded_at, OLD.value, OLD.provenance, OLD.note) THEN
    PERFORM refuse('observations_append_only', 'UPDATE is refused: only a new vintage supersedes one');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_observation BEFORE UPDATE ON observations
  FOR EACH ROW EXECUTE FUNCTION guard_observation();
--> statement-breakpoint

-- Rules are parts of a framework ------------------------------------------------------------------

CREATE TRIGGER framework_sealed BEFORE INSERT ON condition_comparisons
  FOR EACH ROW EXECUTE FUNCTION refuse_sealed_framework();
--> statement-breakpoint
-- A combination has several comparisons; a condition without one has a single comparison or no rule.
CREATE FUNCTION seal_rules() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM invalidation_conditions c
     WHERE c.framework_id = NEW.id
       AND ((SELECT count(*) FROM condition_comparisons p
              WHERE p.framework_id = c.framework_id AND p.condition_key = c.key) > 1)
           IS DISTINCT FROM (c.combination IS NOT NULL)
  ) THEN
    PERFORM refuse('frameworks_rules', 'several comparisons and a combination go together');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER seal_rules AFTER INSERT ON frameworks
  FOR EACH ROW EXECUTE FUNCTION seal_rules();
--> statement-breakpoint

-- Evidence ----------------------------------------------------------------------------------------

-- Items are numbered in the order they were recorded; the outlook's row is the lock that writers queue at.
CREATE FUNCTION append_evidence() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  newest evidence;
BEGIN
  PERFORM FROM outlooks WHERE id = NEW.outlook_id FOR NO KEY UPDATE;
  SELECT * INTO newest FROM evidence WHERE outlook_id = NEW.outlook_id ORDER BY number DESC LIMIT 1;
  NEW.number := coalesce(newest.number, 0) + 1;
  NEW.recorded_at := greatest(NEW.recorded_at, newest.recorded_at);
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER append_evidence BEFORE INSERT ON evidence
  FOR EACH ROW EXECUTE FUNCTION append_evidence();
--> statement-breakpoint
CREATE FUNCTION announce_evidence() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  SELECT 'evidence.added', o.id, o.latest_version,
         jsonb_build_object('id', NEW.id, 'headline', NEW.headline, 'publisher', NEW.publisher,
                            'corrects', NEW.corrects),
         NEW.recorded_at
    FROM outlooks o WHERE o.id = NEW.outlook_id;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER announce_evidence AFTER INSERT ON evidence
  FOR EACH ROW EXECUTE FUNCTION announce_evidence();
--> statement-breakpoint
-- A claim is about something that the outlook has, as it stands.
CREATE FUNCTION guard_claim() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  framework bigint := (SELECT o.framework_id FROM evidence e JOIN outlooks o ON o.id = e.outlook_id
                        WHERE e.id = NEW.evidence_id);
BEGIN
  IF NOT (CASE NEW.target_kind
       WHEN 'scenario' THEN NEW.target_key IN ('bear', 'base', 'bull')
       WHEN 'headwind' THEN EXISTS (
         SELECT FROM headwinds WHERE framework_id = framework AND key = NEW.target_key)
       ELSE EXISTS (
         SELECT FROM invalidation_conditions WHERE framework_id = framework AND key = NEW.target_key)
     END) THEN
    PERFORM refuse('evidence_claims_target_exists', 'there is no such ' || NEW.target_kind);
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_claim BEFORE INSERT ON evidence_claims
  FOR EACH ROW EXECUTE FUNCTION guard_claim();
--> statement-breakpoint

-- Conditions: their states, and what the desk owes ------------------------------------------------

CREATE FUNCTION append_condition_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
  newest condition_changes;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id FOR NO KEY UPDATE;
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
CREATE TRIGGER append_condition_change BEFORE INSERT ON condition_changes
  FOR EACH ROW EXECUTE FUNCTION append_condition_change();
--> statement-breakpoint
CREATE FUNCTION refresh_conditions(outlook bigint) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  states jsonb;
  reasons text[];
BEGIN
  SELECT coalesce(jsonb_object_agg(c.key, c.state) FILTER (WHERE c.state <> 'untriggered'), '{}'),
         coalesce(array_agg(c.reason ORDER BY c.id) FILTER (WHERE c.state = 'triggered' AND NOT EXISTS (
           SELECT FROM condition_answers a WHERE a.change_id = c.id)), '{}')
    INTO states, reasons
    FROM (SELECT DISTINCT ON (key) * FROM condition_changes
           WHERE outlook_id = outlook ORDER BY key, id DESC) AS c;
  UPDATE outlooks SET condition_states = states, review_reasons = reasons
   WHERE id = outlook AND (condition_states, review_reasons) IS DISTINCT FROM (states, reasons);
END $$;
--> statement-breakpoint
CREATE FUNCTION announce_condition_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES (CASE NEW.state WHEN 'triggered' THEN 'condition.triggered' WHEN 'expired' THEN 'condition.expired'
            ELSE 'condition.cleared' END,
          NEW.outlook_id, NEW.version,
          jsonb_build_object('key', NEW.key, 'invalidates', NEW.invalidates, 'cause', NEW.cause,
            'reason', NEW.reason, 'day', NEW.day, 'observations', NEW.observations),
          NEW.recorded_at);
  PERFORM refresh_conditions(NEW.outlook_id);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER announce_condition_change AFTER INSERT ON condition_changes
  FOR EACH ROW EXECUTE FUNCTION announce_condition_change();
--> statement-breakpoint
CREATE FUNCTION guard_answer() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  answered condition_changes;
BEGIN
  SELECT * INTO answered FROM condition_changes WHERE id = NEW.change_id;
  PERFORM FROM outlooks WHERE id = answered.outlook_id FOR NO KEY UPDATE;
  IF answered.state <> 'triggered' OR EXISTS (
       SELECT FROM condition_changes c
        WHERE c.outlook_id = answered.outlook_id AND c.key = answered.key AND c.id > answered.id) THEN
    PERFORM refuse('condition_answers_open', 'only a condition that stands triggered is answered');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_answer BEFORE INSERT ON condition_answers
  FOR EACH ROW EXECUTE FUNCTION guard_answer();
--> statement-breakpoint
CREATE FUNCTION apply_answer() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM refresh_conditions(NEW.outlook_id);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER apply_answer AFTER INSERT ON condition_answers
  FOR EACH ROW EXECUTE FUNCTION apply_answer();
--> statement-breakpoint
-- At the commit, as the answer comes before the version that it makes way for.
CREATE FUNCTION require_answering_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  answered condition_changes;
  answering outlook_versions;
  previous outlook_versions;
BEGIN
  SELECT * INTO answered FROM condition_changes WHERE id = NEW.change_id;
  SELECT * INTO answering FROM outlook_versions
   WHERE outlook_id = NEW.outlook_id AND version = NEW.version;
  SELECT * INTO previous FROM outlook_versions
   WHERE outlook_id = NEW.outlook_id AND version = NEW.version - 1;
  IF NEW.version <> answered.version + 1 THEN
    PERFORM refuse('condition_answers_next_version', 'the next version answers, no other');
  END IF;
  IF NEW.way = 'weight' AND (CASE answered.invalidates
       WHEN 'bear' THEN answering.bear_bps < previous.bear_bps
       WHEN 'base' THEN answering.base_bps < previous.base_bps
       ELSE answering.bull_bps < previous.bull_bps END) IS NOT TRUE THEN
    PERFORM refuse('condition_answers_weight', 'the scenario lost no weight');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER require_answering_version AFTER INSERT ON condition_answers
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_answering_version();
--> statement-breakpoint

-- No version while the desk owes an answer --------------------------------------------------------

-- As before, but for what is asked of review_reasons, and that a version may say no more than that the
-- desk stays with its numbers.
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
  IF reasons <> '{}' THEN
    PERFORM refuse('outlook_versions_unanswered', 'a condition stands triggered and is not answered');
  END IF;
  IF NEW.version = 1 THEN
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
  IF NEW.kind = 'probabilities' AND
     (NEW.bear_bps, NEW.base_bps, NEW.bull_bps) = (previous.bear_bps, previous.base_bps, previous.bull_bps) AND
     NOT EXISTS (SELECT FROM condition_answers WHERE outlook_id = NEW.outlook_id AND version = NEW.version) THEN
    PERFORM refuse('outlook_versions_change', 'the version changes nothing');
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
  RETURN NEW;
END $$;
--> statement-breakpoint
-- As before, and of a review that falls due in an event of its own.
CREATE OR REPLACE FUNCTION announce_state() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES ('outlook.state.changed', NEW.id, NEW.latest_version,
          jsonb_build_object('status', NEW.status, 'reviewReasons', NEW.review_reasons), clock_timestamp());
  IF OLD.review_reasons = '{}' AND NEW.review_reasons <> '{}' THEN
    INSERT INTO events (kind, outlook_id, version, data, recorded_at)
    VALUES ('outlook.review.due', NEW.id, NEW.latest_version,
            jsonb_build_object('reasons', NEW.review_reasons), clock_timestamp());
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint

-- Drawdowns ---------------------------------------------------------------------------------------

CREATE FUNCTION append_drawdown_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
  newest drawdown_changes;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id FOR NO KEY UPDATE;
  SELECT * INTO newest FROM drawdown_changes
   WHERE outlook_id = NEW.outlook_id ORDER BY id DESC LIMIT 1;
  IF NEW.label IS NOT DISTINCT FROM newest.label THEN
    PERFORM refuse('drawdown_changes_change', 'the label is the same as before');
  END IF;
  NEW.version := outlook.latest_version;
  NEW.recorded_at := greatest(NEW.recorded_at, newest.recorded_at);
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER append_drawdown_change BEFORE INSERT ON drawdown_changes
  FOR EACH ROW EXECUTE FUNCTION append_drawdown_change();
--> statement-breakpoint
CREATE FUNCTION announce_drawdown_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES ('drawdown.label.changed', NEW.outlook_id, NEW.version,
          jsonb_build_object('label', NEW.label, 'depth', NEW.depth, 'day', NEW.day,
            'previous', (SELECT label FROM drawdown_changes
                          WHERE outlook_id = NEW.outlook_id AND id < NEW.id ORDER BY id DESC LIMIT 1)),
          NEW.recorded_at);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER announce_drawdown_change AFTER INSERT ON drawdown_changes
  FOR EACH ROW EXECUTE FUNCTION announce_drawdown_change();
