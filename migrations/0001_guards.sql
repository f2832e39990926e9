-- The rules that CHECK, UNIQUE and foreign keys can't hold. Each refusal carries the name of the rule
-- it enforces as its constraint, so that it reads like one of Postgres' own. Each function says its
-- search_path: else a temporary table of the same name would be asked instead of the ledger's.

CREATE FUNCTION refuse(rule text, explanation text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '%: %', rule, explanation
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = rule;
END $$;

-- Append-only ------------------------------------------------------------------------------------

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM refuse(TG_TABLE_NAME || '_append_only', TG_OP || ' is refused: rows are only ever added');
  RETURN NULL;
END $$;

-- Tables whose rows change in part have an UPDATE guard of their own below.
DO $$
DECLARE
  ledger_table text;
BEGIN
  FOREACH ledger_table IN ARRAY ARRAY['outlook_versions', 'frameworks', 'scenarios', 'headwinds',
    'drawdown_labels', 'invalidation_conditions', 'outlooks', 'events', 'instruments', 'analysts', 'api_keys']
  LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE ON %I
      FOR EACH ROW EXECUTE FUNCTION refuse_change()', ledger_table);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', ledger_table);
  END LOOP;
  FOREACH ledger_table IN ARRAY ARRAY['outlook_versions', 'frameworks', 'scenarios', 'headwinds',
    'drawdown_labels', 'invalidation_conditions', 'instruments', 'analysts']
  LOOP
    EXECUTE format('CREATE TRIGGER append_only_update BEFORE UPDATE ON %I
      FOR EACH ROW EXECUTE FUNCTION refuse_change()', ledger_table);
  END LOOP;
END $$;

-- Versions: gapless, chained, in the order of their times -------------------------------------------

-- The outlook's row is the lock that writers queue at and the pointer to the newest version. Only
-- this trigger moves the pointer, so it can't disagree with the versions, however they are written.
CREATE FUNCTION append_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  previous outlook_versions;
  outlook_status text;
BEGIN
  NEW.transaction_id := pg_current_xact_id();
  UPDATE outlooks
     SET latest_version = NEW.version, published_at = NEW.recorded_at, transaction_id = NEW.transaction_id
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

CREATE TRIGGER append_version BEFORE INSERT ON outlook_versions
  FOR EACH ROW EXECUTE FUNCTION append_version();

CREATE FUNCTION guard_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.slug, NEW.instrument_id, NEW.horizon_from, NEW.horizon_to)
     IS DISTINCT FROM (OLD.id, OLD.slug, OLD.instrument_id, OLD.horizon_from, OLD.horizon_to) THEN
    PERFORM refuse('outlooks_subject_fixed', 'what an outlook is about never changes');
  END IF;
  IF (NEW.latest_version, NEW.published_at, NEW.transaction_id)
     IS DISTINCT FROM (OLD.latest_version, OLD.published_at, OLD.transaction_id) AND pg_trigger_depth() = 1 THEN
    PERFORM refuse('outlooks_latest_version', 'only a new version moves the pointer to the newest');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER guard_outlook BEFORE UPDATE ON outlooks
  FOR EACH ROW EXECUTE FUNCTION guard_outlook();

CREATE FUNCTION guard_new_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.latest_version <> 0 THEN
    PERFORM refuse('outlooks_latest_version', 'an outlook starts before its first version');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER guard_new_outlook BEFORE INSERT ON outlooks
  FOR EACH ROW EXECUTE FUNCTION guard_new_outlook();

CREATE FUNCTION require_first_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM outlook_versions WHERE outlook_id = NEW.id AND version = 1) THEN
    PERFORM refuse('outlooks_first_version', 'an outlook is committed together with its first version');
  END IF;
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER require_first_version AFTER INSERT ON outlooks
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_first_version();

-- Frameworks: whole, and sealed by their own row ----------------------------------------------------

-- A framework's row is written after its parts. From then on nothing can be added to it, neither by
-- a transaction that began before: of two that write one framework, the second waits here.
CREATE FUNCTION lock_framework(id bigint) RETURNS void
LANGUAGE sql SET search_path = public, pg_temp AS $$
  SELECT pg_advisory_xact_lock(hashtextextended('outlook-ledger framework', id));
$$;

CREATE FUNCTION refuse_sealed_framework() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM lock_framework(NEW.framework_id);
  IF EXISTS (SELECT FROM frameworks WHERE id = NEW.framework_id) THEN
    PERFORM refuse(TG_TABLE_NAME || '_framework_sealed', 'nothing is added to a published framework');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER framework_sealed BEFORE INSERT ON scenarios
  FOR EACH ROW EXECUTE FUNCTION refuse_sealed_framework();
CREATE TRIGGER framework_sealed BEFORE INSERT ON headwinds
  FOR EACH ROW EXECUTE FUNCTION refuse_sealed_framework();
CREATE TRIGGER framework_sealed BEFORE INSERT ON drawdown_labels
  FOR EACH ROW EXECUTE FUNCTION refuse_sealed_framework();
CREATE TRIGGER framework_sealed BEFORE INSERT ON invalidation_conditions
  FOR EACH ROW EXECUTE FUNCTION refuse_sealed_framework();

CREATE FUNCTION seal_framework() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  bear scenarios;
  base scenarios;
  bull scenarios;
BEGIN
  PERFORM lock_framework(NEW.id);
  -- The names are a key of their own and each is one of three, so a count of three is all of them.
  IF (SELECT count(*) FROM scenarios WHERE framework_id = NEW.id) <> 3 THEN
    PERFORM refuse('frameworks_three_scenarios', 'a framework has exactly bear, base and bull');
  END IF;

  IF EXISTS (
    SELECT FROM (
      SELECT min_depth, lag(min_depth) OVER (ORDER BY position) AS shallower
        FROM drawdown_labels WHERE framework_id = NEW.id AND min_depth IS NOT NULL
    ) AS label WHERE min_depth <= shallower
  ) THEN
    PERFORM refuse('frameworks_drawdown_order', 'drawdown labels go from shallow to deep');
  END IF;

  SELECT * INTO bear FROM scenarios WHERE framework_id = NEW.id AND name = 'bear';
  SELECT * INTO base FROM scenarios WHERE framework_id = NEW.id AND name = 'base';
  SELECT * INTO bull FROM scenarios WHERE framework_id = NEW.id AND name = 'bull';
  IF num_nonnulls(bear.return_min, bear.return_max, base.return_min, base.return_max,
                  bull.return_min, bull.return_max) > 0
     AND (num_nulls(bear.return_min, bull.return_max) = 2
          AND bear.return_max = base.return_min
          AND base.return_min < base.return_max
          AND base.return_max = bull.return_min
          -- NaN, too, is above every number in Postgres.
          AND base.return_min > '-Infinity' AND base.return_max < 'Infinity') IS NOT TRUE THEN
    PERFORM refuse('frameworks_return_bands', 'return bands partition the line in the order bear, base, bull');
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER seal_framework AFTER INSERT ON frameworks
  FOR EACH ROW EXECUTE FUNCTION seal_framework();

-- Keys ------------------------------------------------------------------------------------------------

CREATE FUNCTION guard_api_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.analyst_id, NEW.role, NEW.hash, NEW.hint, NEW.created_at, NEW.expires_at)
     IS DISTINCT FROM (OLD.id, OLD.analyst_id, OLD.role, OLD.hash, OLD.hint, OLD.created_at, OLD.expires_at) THEN
    PERFORM refuse('api_keys_fixed', 'a key keeps what it was issued with');
  END IF;
  IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
    PERFORM refuse('api_keys_revocation_final', 'a revoked key stays revoked');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER guard_api_key BEFORE UPDATE ON api_keys
  FOR EACH ROW EXECUTE FUNCTION guard_api_key();

-- Events: an order that readers can follow ------------------------------------------------------------

CREATE FUNCTION guard_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF OLD.position IS NOT NULL OR
     (NEW.id, NEW.kind, NEW.outlook_id, NEW.version, NEW.data, NEW.recorded_at)
     IS DISTINCT FROM (OLD.id, OLD.kind, OLD.outlook_id, OLD.version, OLD.data, OLD.recorded_at) THEN
    PERFORM refuse('events_append_only', 'UPDATE is refused: an event is given its position once, nothing else');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER guard_event BEFORE UPDATE ON events
  FOR EACH ROW EXECUTE FUNCTION guard_event();

CREATE FUNCTION guard_new_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.position IS NOT NULL THEN
    PERFORM refuse('events_position', 'positions are given by sequence_events()');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER guard_new_event BEFORE INSERT ON events
  FOR EACH ROW EXECUTE FUNCTION guard_new_event();

-- Holds for any UPDATE what sequence_events() does: the next positions, in order of the ids, and no
-- event of an outlook before an older one of it.
CREATE FUNCTION guard_positions() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  last bigint := (SELECT coalesce(max(position), 0) FROM events) - (SELECT count(*) FROM placed);
BEGIN
  IF last <> 0 AND NOT EXISTS (SELECT FROM events WHERE position = last)
     OR EXISTS (
       SELECT FROM (SELECT position, last + row_number() OVER (ORDER BY id) AS due FROM placed) AS event
        WHERE position IS DISTINCT FROM due)
     OR EXISTS (
       SELECT FROM events AS older JOIN placed ON placed.outlook_id = older.outlook_id
        WHERE older.position IS NULL AND older.id < placed.id) THEN
    PERFORM refuse('events_position', 'positions are given by sequence_events()');
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER guard_positions AFTER UPDATE ON events
  REFERENCING NEW TABLE AS placed FOR EACH STATEMENT EXECUTE FUNCTION guard_positions();

-- Gives committed events that have none the next positions, up to 1000 a call, and answers the last
-- one given. Ids are drawn before the commit and so become visible out of order: a reader that
-- remembers an id can miss an event. Positions are given after the commit, one caller at a time: what
-- a reader sees behind the position it remembers never grows. Within an outlook they follow the
-- versions. For READ COMMITTED, where each statement below sees what was committed when the lock was
-- got.
CREATE FUNCTION sequence_events() RETURNS bigint
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger events', 0));
  UPDATE events SET position = placed.position
    FROM (
      SELECT id, coalesce((SELECT max(position) FROM events), 0) + row_number() OVER (ORDER BY id) AS position
        FROM events WHERE position IS NULL ORDER BY id LIMIT 1000
    ) AS placed
   WHERE events.id = placed.id;
  RETURN (SELECT max(position) FROM events);
END $$;
