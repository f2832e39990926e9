-- What reads need: the version that stands on the outlook's own row, words to search by, what stood
-- at a moment, and events of an outlook's state. From src/db/schema/, but for what follows the first
-- mark below and for the order of one constraint, which goes after the rows that it is about.
ALTER TABLE "events" DROP CONSTRAINT "events_kind";
--> statement-breakpoint
ALTER TABLE "frameworks" ADD COLUMN "search" "tsvector" DEFAULT '' NOT NULL;
--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "review_reasons" text[] DEFAULT '{}' NOT NULL;
--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "hash" "bytea";
--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "framework_id" bigint;
--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "bear_bps" integer;
--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "base_bps" integer;
--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "bull_bps" integer;
--> statement-breakpoint
CREATE INDEX "events_of_outlook" ON "events" USING btree ("outlook_id","position");
--> statement-breakpoint
CREATE INDEX "frameworks_search" ON "frameworks" USING gin ("search");
--> statement-breakpoint
CREATE INDEX "outlook_versions_as_of" ON "outlook_versions" USING btree ("outlook_id","recorded_at","version","bear_bps","base_bps","bull_bps");
--> statement-breakpoint
CREATE INDEX "outlooks_by_bear" ON "outlooks" USING btree ("bear_bps");
--> statement-breakpoint
CREATE INDEX "outlooks_by_base" ON "outlooks" USING btree ("base_bps");
--> statement-breakpoint
CREATE INDEX "outlooks_by_bull" ON "outlooks" USING btree ("bull_bps");
--> statement-breakpoint
CREATE INDEX "outlooks_review_due" ON "outlooks" USING btree ("published_at","id") WHERE "outlooks"."review_reasons" <> '{}';
--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_kind" CHECK ("events"."kind" in ('outlook.created', 'outlook.version.published', 'outlook.state.changed'));
--> statement-breakpoint
ALTER TABLE "outlooks" ADD CONSTRAINT "outlooks_review_reasons" CHECK (array_position("outlooks"."review_reasons", null) is null and array_position("outlooks"."review_reasons", '') is null);
--> statement-breakpoint

-- The version that stands, on the outlook's own row ------------------------------------------------

-- What an author locks is then all that the next version depends on, read in the same statement; and
-- lists filter and sort without a look at the versions.
CREATE OR REPLACE FUNCTION append_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  previous outlook_versions;
  outlook_status text;
BEGIN
  NEW.transaction_id := pg_current_xact_id();
  UPDATE outlooks
     SET latest_version = NEW.version, published_at = NEW.recorded_at, transaction_id = NEW.transaction_id,
         hash = NEW.hash, framework_id = NEW.framework_id,
         bear_bps = NEW.bear_bps, base_bps = NEW.base_bps, bull_bps = NEW.bull_bps
   WHERE id = NEW.outlook_id AND latest_version = NEW.version - 1
  RETURNING status INTO outlook_status;
  IF NOT FOUND THEN
    PERFORM refuse('outlook_versions_gapless', 'version ' || NEW.version || ' is not the next one');
  END IF;
  IF outlook_status <> 'open' THEN
    PERFORM refuse('outlook_versions_open', 'an outlook that is ' || outlook_status || ' takes no version');
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
     (NEW.bear_bps, NEW.base_bps, NEW.bull_bps) = (previous.bear_bps, previous.base_bps, previous.bull_bps) THEN
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
  RETURN NEW;
END $$;
--> statement-breakpoint
ALTER TABLE outlooks DISABLE TRIGGER guard_outlook;
--> statement-breakpoint
UPDATE outlooks AS o
   SET hash = v.hash, framework_id = v.framework_id,
       bear_bps = v.bear_bps, base_bps = v.base_bps, bull_bps = v.bull_bps
  FROM outlook_versions AS v WHERE v.outlook_id = o.id AND v.version = o.latest_version;
--> statement-breakpoint
ALTER TABLE outlooks ENABLE TRIGGER guard_outlook;
--> statement-breakpoint
ALTER TABLE "outlooks" ADD CONSTRAINT "outlooks_standing" CHECK (num_nulls("outlooks"."hash", "outlooks"."framework_id", "outlooks"."bear_bps", "outlooks"."base_bps", "outlooks"."bull_bps") = case when "outlooks"."latest_version" = 0 then 5 else 0 end);
--> statement-breakpoint

-- Words to find an outlook by ---------------------------------------------------------------------

-- Weighed by where they stand: the title, then what the headwinds are called, then the summary and the
-- conditions, then what is said of the headwinds. Of each the first 60,000 characters, as an index
-- entry may not exceed a megabyte and refusing a framework for its length is not the search's business.
CREATE FUNCTION framework_words(framework_id bigint, title text, summary text) RETURNS tsvector
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  headwind_titles text := (SELECT string_agg(h.title, E'\n' ORDER BY h.rank) FROM headwinds h
                            WHERE h.framework_id = framework_words.framework_id);
  headwind_texts text := (SELECT string_agg(h.description, E'\n' ORDER BY h.rank) FROM headwinds h
                           WHERE h.framework_id = framework_words.framework_id);
  conditions text := (SELECT string_agg(c.statement, E'\n' ORDER BY c.position) FROM invalidation_conditions c
                       WHERE c.framework_id = framework_words.framework_id);
BEGIN
  RETURN setweight(to_tsvector('english', title), 'A')
      || setweight(to_tsvector('english', left(coalesce(headwind_titles, ''), 60000)), 'B')
      || setweight(to_tsvector('english', left(concat_ws(E'\n', summary, conditions), 60000)), 'C')
      || setweight(to_tsvector('english', left(coalesce(headwind_texts, ''), 60000)), 'D');
END $$;
--> statement-breakpoint
CREATE FUNCTION index_framework() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  NEW.search := framework_words(NEW.id, NEW.title, NEW.summary);
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER index_framework BEFORE INSERT ON frameworks
  FOR EACH ROW EXECUTE FUNCTION index_framework();
--> statement-breakpoint
ALTER TABLE frameworks DISABLE TRIGGER append_only_update;
--> statement-breakpoint
UPDATE frameworks SET search = framework_words(id, title, summary);
--> statement-breakpoint
ALTER TABLE frameworks ENABLE TRIGGER append_only_update;
--> statement-breakpoint

-- Events ------------------------------------------------------------------------------------------

-- Whatever changes an outlook's state, its followers are told: caches drop what they hold of it.
CREATE FUNCTION announce_state() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES ('outlook.state.changed', NEW.id, NEW.latest_version,
          jsonb_build_object('status', NEW.status, 'reviewReasons', NEW.review_reasons), clock_timestamp());
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER announce_state AFTER UPDATE ON outlooks FOR EACH ROW
  WHEN ((OLD.status, OLD.review_reasons) IS DISTINCT FROM (NEW.status, NEW.review_reasons))
  EXECUTE FUNCTION announce_state();
--> statement-breakpoint
-- As before, but without a lock and an UPDATE where nothing waits for its position: each instance asks
-- about twice a second.
CREATE OR REPLACE FUNCTION sequence_events() RETURNS bigint
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM events WHERE position IS NULL) THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger events', 0));
    UPDATE events SET position = placed.position
      FROM (
        SELECT id, coalesce((SELECT max(position) FROM events), 0) + row_number() OVER (ORDER BY id) AS position
          FROM events WHERE position IS NULL ORDER BY id LIMIT 1000
      ) AS placed
     WHERE events.id = placed.id;
  END IF;
  RETURN (SELECT max(position) FROM events);
END $$;
