-- Runs with the release of migration 0026 and later.
-- Erases the name of an analyst. A row in erasures, which only the owner of the tables may add, does all of it: the name is
-- replaced wherever the ledger stores it, and openings and digests that hold it lose their salts. What the openings said beside
-- the name moves to erased_openings, whose rows have a leaf of their own.
CREATE TABLE erasures (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  analyst_id uuid NOT NULL,
  recorded_at timestamp(3) with time zone NOT NULL,
  -- False only inside the transaction that erases.
  is_done boolean NOT NULL DEFAULT false,
  CONSTRAINT erasures_analyst_id_unique UNIQUE (analyst_id),
  CONSTRAINT erasures_analyst_id_analysts_id_fk FOREIGN KEY (analyst_id) REFERENCES analysts (id)
);
--> statement-breakpoint
CREATE TABLE erased_openings (
  event_id bigint PRIMARY KEY,
  erasure_id bigint NOT NULL,
  content text NOT NULL,
  CONSTRAINT erased_openings_event_id_openings_event_id_fk FOREIGN KEY (event_id) REFERENCES openings (event_id),
  CONSTRAINT erased_openings_erasure_id_erasures_id_fk FOREIGN KEY (erasure_id) REFERENCES erasures (id)
);
--> statement-breakpoint
-- Whether this transaction is erasing a name. Nobody else sees a row that is not done.
CREATE FUNCTION is_erasing() RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$ SELECT EXISTS (SELECT FROM erasures WHERE NOT is_done) $$;
--> statement-breakpoint
CREATE FUNCTION guard_erasure() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' AND NEW.is_done
     OR TG_OP = 'UPDATE' AND (pg_trigger_depth() = 1 OR OLD.is_done OR NOT NEW.is_done OR
       (NEW.id, NEW.analyst_id, NEW.recorded_at) IS DISTINCT FROM (OLD.id, OLD.analyst_id, OLD.recorded_at)) THEN
    PERFORM refuse('erasures_append_only', TG_OP || ' is refused: rows are only ever added');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_erased_opening() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF pg_trigger_depth() = 1 OR NOT is_erasing() THEN
    PERFORM refuse('erased_openings_erasure', 'rows follow from an erasure');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  erasable text[] := CASE TG_TABLE_NAME
    WHEN 'analysts' THEN '{name}'
    WHEN 'audit_entries' THEN '{credential,detail,summary}'
    WHEN 'condition_changes' THEN '{reason}' END;
BEGIN
  IF TG_OP = 'UPDATE' AND erasable <> '{}' AND is_erasing() AND to_jsonb(NEW) - erasable = to_jsonb(OLD) - erasable THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'DELETE' AND TG_TABLE_NAME IN ('analyst_identities', 'analyst_skeletons') AND is_erasing() THEN
    RETURN OLD;
  END IF;
  PERFORM refuse(TG_TABLE_NAME || '_append_only', TG_OP || ' is refused: rows are only ever added');
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_api_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.analyst_id, NEW.role, NEW.hash, NEW.hint, NEW.created_at, NEW.expires_at, NEW.issued_by)
     IS DISTINCT FROM (OLD.id, OLD.analyst_id, OLD.role, OLD.hash, OLD.hint, OLD.created_at, OLD.expires_at, OLD.issued_by)
     OR NEW.issued_with IS DISTINCT FROM OLD.issued_with AND NOT is_erasing() THEN
    PERFORM refuse('api_keys_fixed', 'a key keeps what it was issued with');
  END IF;
  IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
    PERFORM refuse('api_keys_revocation_final', 'a revoked key stays revoked');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF coalesce(OLD.log_position, OLD.position) IS NOT NULL OR
     (NEW.id, NEW.kind, NEW.outlook_id, NEW.version, NEW.data, NEW.recorded_at, NEW.transaction_id)
     IS DISTINCT FROM
     (OLD.id, OLD.kind, OLD.outlook_id, OLD.version, OLD.data, OLD.recorded_at, OLD.transaction_id) THEN
    OLD.data := NEW.data;
    IF OLD *= NEW AND is_erasing() THEN
      RETURN NEW;
    END IF;
    PERFORM refuse('events_append_only', 'UPDATE is refused: an event is given its position once, nothing else');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_positions() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
  last bigint := (SELECT coalesce(max(position), 0) FROM events) - (SELECT count(position) FROM placed);
  last_place bigint := (SELECT coalesce(max(coalesce(log_position, position)), 0) FROM events) - (SELECT count(*) FROM placed);
  sequenced xid8 := sequenced_before();
BEGIN
  IF (last <> 0 AND NOT EXISTS (SELECT FROM events WHERE position = last)
     OR last_place <> 0 AND NOT EXISTS (SELECT FROM events WHERE coalesce(log_position, position) = last_place)
     OR EXISTS (
       SELECT FROM (SELECT position, log_position, last_place + row_number() OVER (ORDER BY id) AS place_due,
           CASE WHEN outlook_id IS NOT NULL THEN last + count(outlook_id) OVER (ORDER BY id) END AS due FROM placed) AS event
        WHERE position IS DISTINCT FROM due OR log_position IS DISTINCT FROM place_due)
     OR EXISTS (
       SELECT FROM events AS older JOIN placed ON placed.outlook_id = older.outlook_id
        WHERE older.position IS NULL AND older.log_position IS NULL AND older.transaction_id >= sequenced AND older.id < placed.id))
     AND NOT is_erasing() THEN -- then guard_event() keeps the positions
    PERFORM refuse('events_position', 'positions are given by sequence_events()');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_digest() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT is_erasing() OR NEW.salt IS NOT NULL OR
     (NEW.write_id, NEW.number, NEW.relation, NEW.operation, NEW.hashes, cardinality(NEW.keys))
     IS DISTINCT FROM (OLD.write_id, OLD.number, OLD.relation, OLD.operation, OLD.hashes, cardinality(OLD.keys)) OR
     EXISTS (SELECT FROM unnest(OLD.keys, NEW.keys) AS key (before, after) WHERE key.after NOT IN (key.before, 'erased')) THEN
    PERFORM refuse('row_digests_append_only', 'UPDATE is refused: only an erasure deletes a salt');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_opening() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT is_erasing() OR NEW.salt IS NOT NULL OR NEW.content IS NOT NULL OR
     (NEW.event_id, NEW.write_id, NEW.commitment) IS DISTINCT FROM (OLD.event_id, OLD.write_id, OLD.commitment) THEN
    PERFORM refuse('openings_append_only', 'UPDATE is refused: only an erasure deletes a salt and its content');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
-- The reason that an assessment of a condition has (src/ledger/conditions.ts), with another name.
CREATE FUNCTION reason_by(reason text, old_name text, new_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN starts_with(reason, old_name || ' assessed "') THEN new_name || substr(reason, length(old_name) + 1) ELSE reason END
$$;
--> statement-breakpoint
-- The data of an event with another name for an analyst.
CREATE FUNCTION event_data_by(data jsonb, analyst uuid, old_name text, new_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  list text;
BEGIN
  IF data->'analyst'->>'id' = analyst::text THEN
    data := jsonb_set(data, '{analyst,name}', to_jsonb(new_name));
  END IF;
  IF jsonb_typeof(data->'reason') = 'string' THEN
    data := jsonb_set(data, '{reason}', to_jsonb(reason_by(data->>'reason', old_name, new_name)));
  END IF;
  FOREACH list IN ARRAY ARRAY['reasons', 'reviewReasons'] LOOP
    IF jsonb_array_length(CASE jsonb_typeof(data->list) WHEN 'array' THEN data->list ELSE '[]' END) > 0 THEN
      data := jsonb_set(data, ARRAY[list], (
        SELECT jsonb_agg(to_jsonb(reason_by(reason, old_name, new_name)) ORDER BY i)
          FROM jsonb_array_elements_text(data->list) WITH ORDINALITY AS r (reason, i)));
    END IF;
  END LOOP;
  RETURN data;
END $$;
--> statement-breakpoint
-- Deletes the salts of the digests of rows that held a name, so that nobody can confirm a guess by their hashes, and digests
-- these rows again, as they are now. The other rows of those digests are digested again as well, if they are as they were.
CREATE FUNCTION erase_digests(relation text, changed text[]) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp
SET timezone = 'UTC' SET datestyle = 'ISO' SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
DECLARE
  affected text[];
  others text[];
  salts bytea[];
  hashes bytea[];
  new_salt bytea := random_salt();
  again text[];
  again_hashes bytea;
  tampered text;
BEGIN
  SELECT array_agg(DISTINCT d.write_id || ':' || d.number) INTO affected
    FROM row_digests d, unnest(d.keys) AS k (key) JOIN unnest(changed) AS c (key) ON c.key = k.key
   WHERE d.relation = erase_digests.relation AND d.salt IS NOT NULL;
  IF affected IS NULL THEN
    RETURN; -- older rows are not digested yet
  END IF;
  WITH digested AS MATERIALIZED (
    SELECT d.write_id, d.number, k.key, row_salt(d.salt, i - 1) AS row_salt,
        substr(d.hashes, (32 * (i - 1) + 1)::integer, 32) AS hash, a.id IS NOT NULL AS is_affected
      FROM row_digests d LEFT JOIN unnest(affected) AS a (id) ON a.id = d.write_id || ':' || d.number,
        unnest(d.keys) WITH ORDINALITY AS k (key, i)
     WHERE d.relation = erase_digests.relation
  ), other AS (
    SELECT DISTINCT ON (d.key) d.key, d.row_salt, d.hash FROM digested d
     WHERE d.is_affected AND NOT EXISTS (SELECT FROM unnest(changed) AS c (key) WHERE c.key = d.key)
       AND NOT EXISTS (SELECT FROM digested n WHERE n.key = d.key AND (n.write_id, n.number) > (d.write_id, d.number))
  )
  SELECT array_agg(o.key), array_agg(o.row_salt), array_agg(o.hash) INTO others, salts, hashes FROM other o;
  UPDATE row_digests d
     SET salt = NULL, keys = CASE d.relation
       WHEN 'analyst_identities' THEN ARRAY(SELECT CASE WHEN k.key = ANY (changed) THEN 'erased' ELSE k.key END
         FROM unnest(d.keys) WITH ORDINALITY AS k (key, i) ORDER BY k.i)
       ELSE d.keys END
    FROM unnest(affected) AS a (id) WHERE d.relation = erase_digests.relation AND d.write_id || ':' || d.number = a.id;
  EXECUTE format('SELECT array_agg(key ORDER BY i), string_agg(row_hash(row_salt($1, i - 1), content), '''' ORDER BY i),
      min(key) FILTER (WHERE hash <> row_hash(salt, content))
    FROM (SELECT row_number() OVER (ORDER BY n.key) AS i, n.key, n.salt, n.hash, row_text(r) AS content
            FROM unnest($2, $3, $4) AS n (key, salt, hash) JOIN %I r ON row_key(r) = n.key) AS found', relation)
    INTO again, again_hashes, tampered
    USING new_salt, changed || others, array_fill(NULL::bytea, ARRAY[cardinality(changed)]) || salts,
      array_fill(NULL::bytea, ARRAY[cardinality(changed)]) || hashes;
  IF tampered IS NOT NULL THEN
    PERFORM refuse('erasures_untampered', format('the row %s of %s is not as it was written; run npm run verify first', tampered, relation));
  END IF;
  IF again IS NOT NULL THEN
    PERFORM append_digest(relation, 'update', again, new_salt, again_hashes);
  END IF;
END $$;
--> statement-breakpoint
-- Deletes the openings that hold a name, and stores what they say without it.
CREATE FUNCTION erase_openings(erasure erasures, old_name text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  id_part text := '"by":{"id":"' || erasure.analyst_id || '"';
  name_part text := ',"name":' || to_json(old_name);
BEGIN
  INSERT INTO erased_openings (event_id, erasure_id, content)
  SELECT event_id, erasure.id, replace(content, id_part || name_part, id_part)
    FROM openings WHERE position(id_part || name_part IN content) > 0
   ORDER BY event_id;
  UPDATE openings o SET salt = NULL, content = NULL
    FROM erased_openings e WHERE e.event_id = o.event_id AND e.erasure_id = erasure.id;
END $$;
--> statement-breakpoint
-- Replaces a name in keys and the audit trail, and deletes what identifies the person to an identity provider.
CREATE FUNCTION erase_access(erasure erasures, old_name text, new_name text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  key_paths text[] := ARRAY(SELECT '/v1/keys/' || k.id FROM api_keys k WHERE k.analyst_id = erasure.analyst_id);
  identities analyst_identities[] := ARRAY(SELECT i FROM analyst_identities i WHERE i.analyst_id = erasure.analyst_id);
  -- As the ledger stores them, cut off.
  credentials text[] := ARRAY(SELECT left(i.issuer || ' ' || i.subject, 1000) FROM unnest(identities) AS i);
  changed text[];
  identity analyst_identities;
BEGIN
  WITH written AS (
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, erasure.recorded_at),
        issued_with = CASE WHEN issued_with = ANY (credentials) THEN 'erased' ELSE issued_with END
     WHERE (analyst_id = erasure.analyst_id AND revoked_at IS NULL) OR issued_with = ANY (credentials)
    RETURNING id
  )
  SELECT array_agg(id::text) INTO changed FROM written;
  PERFORM erase_digests('api_keys', changed);
  FOREACH identity IN ARRAY identities LOOP
    UPDATE audit_entries SET detail = replace(detail, identity.subject, 'erased')
     WHERE kind = 'refusal' AND credential = left(identity.issuer || ' ' || identity.subject, 1000);
  END LOOP;
  WITH written AS (
    UPDATE audit_entries
       SET summary = CASE WHEN subject = ANY (key_paths) THEN replace(summary, '"' || old_name || '"', '"' || new_name || '"') ELSE summary END,
           credential = CASE WHEN credential = ANY (credentials) THEN 'erased' ELSE credential END
     WHERE (subject = ANY (key_paths) AND position('"' || old_name || '"' IN summary) > 0) OR credential = ANY (credentials)
    RETURNING id
  )
  SELECT array_agg(id::text) INTO changed FROM written;
  PERFORM erase_digests('audit_entries', changed);
  DELETE FROM analyst_identities WHERE analyst_id = erasure.analyst_id;
  changed := ARRAY(SELECT row_key(i) FROM unnest(identities) AS i);
  PERFORM erase_digests('analyst_identities', changed);
  UPDATE digest_progress SET after_key = NULL WHERE relation = 'analyst_identities' AND after_key = ANY (changed);
  DELETE FROM analyst_skeletons WHERE analyst_id = erasure.analyst_id;
  -- Responses that name the analyst, or hold one of their keys. Names in others' responses come with the id, or begin a reason.
  DELETE FROM idempotency_keys
   WHERE analyst_id = erasure.analyst_id OR headers->>'location' = ANY (key_paths)
      OR position(convert_to(erasure.analyst_id::text, 'UTF8') IN body) > 0
      OR position(convert_to(rtrim(to_json(old_name || ' assessed "')::text, '"'), 'UTF8') IN body) > 0;
END $$;
--> statement-breakpoint
CREATE FUNCTION erase_name() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  old_name text;
  new_name text := 'Erased analyst ' || left(NEW.analyst_id::text, 8);
  assessed bigint[];
  changed text[];
BEGIN
  -- One at a time, and not while rows or events of before the log are digested.
  PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger names', 0));
  -- Waits for writes of this analyst that are in progress.
  SELECT name INTO old_name FROM analysts WHERE id = NEW.analyst_id FOR UPDATE;
  IF EXISTS (SELECT FROM analysts WHERE name = new_name) THEN
    new_name := 'Erased analyst ' || NEW.analyst_id;
  END IF;
  UPDATE analysts SET name = new_name WHERE id = NEW.analyst_id;
  PERFORM erase_digests('analysts', ARRAY[NEW.analyst_id::text]);
  WITH written AS (
    UPDATE condition_changes SET reason = reason_by(reason, old_name, new_name)
     WHERE author_id = NEW.analyst_id AND reason_by(reason, old_name, new_name) <> reason
    RETURNING id, outlook_id
  )
  SELECT array_agg(id::text), array_agg(DISTINCT outlook_id) INTO changed, assessed FROM written;
  PERFORM erase_digests('condition_changes', changed);
  WITH written AS (
    UPDATE events e SET data = event_data_by(data, NEW.analyst_id, old_name, new_name)
     WHERE (kind IN ('view.published', 'view.withdrawn') OR outlook_id = ANY (assessed))
       AND event_data_by(data, NEW.analyst_id, old_name, new_name) <> data
    RETURNING id
  )
  SELECT array_agg(id::text) INTO changed FROM written;
  PERFORM erase_digests('events', changed);
  PERFORM refresh_conditions(assessed);
  PERFORM erase_access(NEW, old_name, new_name);
  PERFORM erase_openings(NEW, old_name);
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
CREATE TRIGGER append_only BEFORE DELETE ON erasures FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON erasures FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER guard_erasure BEFORE INSERT OR UPDATE ON erasures FOR EACH ROW EXECUTE FUNCTION guard_erasure();
--> statement-breakpoint
CREATE TRIGGER erase_name AFTER INSERT ON erasures FOR EACH ROW EXECUTE FUNCTION erase_name();
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE DELETE ON erased_openings FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON erased_openings FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_update BEFORE UPDATE ON erased_openings FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER guard_erased_opening BEFORE INSERT ON erased_openings FOR EACH ROW EXECUTE FUNCTION guard_erased_opening();
--> statement-breakpoint
SELECT digest_table('erasures', '{is_done}');
--> statement-breakpoint
SELECT digest_table('erased_openings');
