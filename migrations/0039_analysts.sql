-- Runs with the release of migration 0032 and later.
-- Analysts get other names, and are deactivated and reactivated. A row in analyst_changes does it, and keeps what was before.
-- An erasure covers all names that the analyst ever had.
ALTER TABLE analysts ADD COLUMN deactivated_at timestamp(3) with time zone;
--> statement-breakpoint
CREATE TABLE analyst_changes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  analyst_id uuid NOT NULL CONSTRAINT analyst_changes_analyst_id_analysts_id_fk REFERENCES analysts (id),
  kind text NOT NULL,
  old_name text,
  new_name text,
  recorded_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT analyst_changes_kind CHECK (kind IN ('renamed', 'deactivated', 'reactivated')),
  CONSTRAINT analyst_changes_names CHECK (num_nonnulls(old_name, new_name) = CASE kind WHEN 'renamed' THEN 2 ELSE 0 END)
);
--> statement-breakpoint
CREATE INDEX analyst_changes_of_analyst ON analyst_changes (analyst_id, id);
--> statement-breakpoint
-- With the rights of the owner, because nothing else may change analysts, and for the words of searches.
CREATE FUNCTION change_analyst() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  analyst analysts;
BEGIN
  SELECT * INTO analyst FROM analysts WHERE id = NEW.analyst_id FOR UPDATE;
  NEW.recorded_at := greatest(NEW.recorded_at, (SELECT max(recorded_at) FROM analyst_changes WHERE analyst_id = NEW.analyst_id));
  IF NEW.kind = 'renamed' THEN
    IF EXISTS (SELECT FROM erasures WHERE analyst_id = NEW.analyst_id) THEN
      PERFORM refuse('analyst_changes_erased', 'an erased analyst can''t be renamed');
    END IF;
    IF NEW.old_name IS DISTINCT FROM analyst.name OR coalesce(NEW.new_name, analyst.name) = analyst.name THEN
      PERFORM refuse('analyst_changes_renamed', 'old_name must be the current name, and new_name another one');
    END IF;
    UPDATE analysts SET name = NEW.new_name WHERE id = NEW.analyst_id;
    -- Maintenance collects the words of searches again, with the new name.
    INSERT INTO search_backlog (framework_id) SELECT max(id) FROM frameworks HAVING max(id) IS NOT NULL
    ON CONFLICT (is_only) DO UPDATE SET framework_id = excluded.framework_id;
  ELSE
    IF (NEW.kind = 'deactivated') = (analyst.deactivated_at IS NOT NULL) THEN
      PERFORM refuse('analyst_changes_active', 'the analyst is already ' || CASE NEW.kind WHEN 'deactivated' THEN 'deactivated' ELSE 'active' END);
    END IF;
    UPDATE analysts SET deactivated_at = CASE NEW.kind WHEN 'deactivated' THEN NEW.recorded_at END WHERE id = NEW.analyst_id;
  END IF;
  INSERT INTO events (kind, data, recorded_at)
  VALUES ('analyst.' || NEW.kind, jsonb_build_object('subject', '/v1/analysts/' || NEW.analyst_id), NEW.recorded_at);
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_analyst_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT is_erasing() OR (NEW.id, NEW.analyst_id, NEW.kind, NEW.recorded_at) IS DISTINCT FROM (OLD.id, OLD.analyst_id, OLD.kind, OLD.recorded_at) THEN
    PERFORM refuse('analyst_changes_append_only', 'UPDATE is refused: rows are only ever added');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_analyst() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.created_at) OR pg_trigger_depth() = 1
     OR NEW.deactivated_at IS DISTINCT FROM OLD.deactivated_at AND is_erasing() THEN
    PERFORM refuse('analysts_append_only', 'UPDATE is refused: a row in analyst_changes changes an analyst');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION erase_name() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  names text[];
  former text;
  replacement text := 'Erased analyst ' || left(NEW.analyst_id::text, 8);
  assessed bigint[];
  changed text[];
BEGIN
  -- One at a time, and not while rows or events of before the log are digested.
  PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger names', 0));
  -- Waits for writes of this analyst that are in progress.
  PERFORM FROM analysts WHERE id = NEW.analyst_id FOR UPDATE;
  names := ARRAY(SELECT name FROM analysts WHERE id = NEW.analyst_id
    UNION SELECT c.old_name FROM analyst_changes c WHERE c.analyst_id = NEW.analyst_id AND c.kind = 'renamed');
  IF EXISTS (SELECT FROM analysts WHERE name = replacement) THEN
    replacement := 'Erased analyst ' || NEW.analyst_id;
  END IF;
  UPDATE analysts SET name = replacement WHERE id = NEW.analyst_id;
  PERFORM erase_digests('analysts', ARRAY[NEW.analyst_id::text]);
  WITH written AS (
    UPDATE analyst_changes c SET old_name = replacement, new_name = replacement
     WHERE c.analyst_id = NEW.analyst_id AND c.kind = 'renamed'
    RETURNING c.id
  )
  SELECT array_agg(id::text) INTO changed FROM written;
  PERFORM erase_digests('analyst_changes', changed);
  FOREACH former IN ARRAY names LOOP
    WITH written AS (
      UPDATE condition_changes SET reason = reason_by(reason, former, replacement)
       WHERE author_id = NEW.analyst_id AND reason_by(reason, former, replacement) <> reason
      RETURNING id, outlook_id
    )
    SELECT array_agg(id::text), array_agg(DISTINCT outlook_id) INTO changed, assessed FROM written;
    PERFORM erase_digests('condition_changes', changed);
    WITH written AS (
      UPDATE events e SET data = event_data_by(data, NEW.analyst_id, former, replacement)
       WHERE (kind IN ('view.published', 'view.withdrawn') OR kind LIKE 'proposal.%' OR outlook_id = ANY (assessed))
         AND event_data_by(data, NEW.analyst_id, former, replacement) <> data
      RETURNING id
    )
    SELECT array_agg(id::text) INTO changed FROM written;
    PERFORM erase_digests('events', changed);
    PERFORM refresh_conditions(assessed);
    PERFORM erase_access(NEW, former, replacement);
    PERFORM erase_openings(NEW, former);
  END LOOP;
  UPDATE frameworks SET search = ''
   WHERE search <> '' AND outlook_id IN (
     SELECT outlook_id FROM forecasters WHERE analyst_id = NEW.analyst_id AND source = 'version'
     UNION ALL
     SELECT outlook_id FROM outlook_versions WHERE author_id = NEW.analyst_id AND kind = 'withdrawn');
  INSERT INTO events (kind, data, recorded_at)
  VALUES ('analyst.erased', jsonb_build_object('subject', '/v1/analysts/' || NEW.analyst_id), NEW.recorded_at);
  UPDATE erasures SET is_done = true WHERE id = NEW.id;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- Whether an analyst may act for a desk: while active, with a key of it, or with tokens of an identity provider, whose desks only
-- it knows.
CREATE OR REPLACE FUNCTION acts_for(analyst uuid, desk integer, at timestamptz, counts_identities boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
  RETURN EXISTS (SELECT FROM analysts a WHERE a.id = analyst AND a.deactivated_at IS NULL) AND (EXISTS (
    SELECT FROM api_keys k
     WHERE k.analyst_id = analyst AND k.role IN ('analyst', 'admin') AND (k.desk_ids IS NULL OR desk = ANY (k.desk_ids))
       AND (k.revoked_at IS NULL OR k.revoked_at > at) AND (k.expires_at IS NULL OR k.expires_at > at))
    OR counts_identities AND EXISTS (SELECT FROM analyst_identities i WHERE i.analyst_id = analyst));
END $$;
--> statement-breakpoint
CREATE TRIGGER change_analyst BEFORE INSERT ON analyst_changes FOR EACH ROW EXECUTE FUNCTION change_analyst();
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE DELETE ON analyst_changes FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON analyst_changes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER guard_analyst_change BEFORE UPDATE ON analyst_changes FOR EACH ROW EXECUTE FUNCTION guard_analyst_change();
--> statement-breakpoint
DROP TRIGGER append_only_update ON analysts;
--> statement-breakpoint
CREATE TRIGGER guard_analyst BEFORE UPDATE ON analysts FOR EACH ROW EXECUTE FUNCTION guard_analyst();
--> statement-breakpoint
DO $$
BEGIN
  PERFORM digest_table('analysts', is_changed => true);
  PERFORM digest_table('analyst_changes');
END $$;
