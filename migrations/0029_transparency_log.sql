-- Runs with the release of migration 0026 and later.
-- Every write gets a leaf in a transparency log (RFC 6962, C2SP tlog-tiles). Triggers digest the rows that a transaction
-- writes, whichever release or command writes them. When it commits, each of its events gets an opening: who did what, when,
-- with the Merkle root of the rows. The leaf is a commitment to the opening. A transaction without an event gets one that
-- stays out of streams, feeds and webhooks.
ALTER TABLE events ALTER COLUMN outlook_id DROP NOT NULL, ALTER COLUMN version DROP NOT NULL,
  DROP CONSTRAINT events_kind,
  ADD CONSTRAINT events_kind CHECK (
    CASE WHEN kind IN ('analyst.added', 'analyst.erased', 'instrument.added', 'instrument.changed', 'key.issued', 'key.revoked', 'ledger.digested', 'log.generation.started', 'observations.recorded', 'refusals.recorded', 'rows.digested', 'series.added', 'source.changed', 'webhook.changed', 'write.recorded') THEN outlook_id IS NULL AND version IS NULL
      ELSE outlook_id IS NOT NULL AND version IS NOT NULL AND kind IN ('outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.horizon.ended', 'outlook.resolved', 'outlook.resolution.contradicted', 'outlook.reopened', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published', 'view.withdrawn') END) NOT VALID;
--> statement-breakpoint
CREATE SEQUENCE writes_id_seq;
--> statement-breakpoint
CREATE TABLE row_digests (
  write_id bigint NOT NULL,
  number integer NOT NULL,
  relation text NOT NULL,
  operation text NOT NULL,
  keys text[] NOT NULL,
  salt bytea,
  hashes bytea NOT NULL,
  CONSTRAINT row_digests_write_id_number_pk PRIMARY KEY (write_id, number),
  CONSTRAINT row_digests_operation CHECK (operation IN ('insert', 'update', 'delete', 'found')),
  CONSTRAINT row_digests_lengths CHECK (
    length(salt) = 32 AND cardinality(keys) > 0 AND length(hashes) = 32 * cardinality(keys))
);
--> statement-breakpoint
CREATE TABLE openings (
  event_id bigint PRIMARY KEY,
  write_id bigint NOT NULL,
  salt bytea,
  content text,
  commitment bytea NOT NULL,
  CONSTRAINT openings_lengths CHECK (length(salt) = 32 AND length(commitment) = 32 AND num_nulls(salt, content) <> 1)
);
--> statement-breakpoint
CREATE TABLE log_generations (
  generation integer PRIMARY KEY,
  origin text NOT NULL,
  started_at timestamp(3) with time zone NOT NULL,
  after_position bigint NOT NULL,
  previous_size bigint,
  previous_root bytea,
  salt bytea,
  content text,
  commitment bytea,
  size bigint NOT NULL DEFAULT 0,
  root bytea NOT NULL DEFAULT sha256(''),
  CONSTRAINT log_generations_origin_unique UNIQUE (origin),
  CONSTRAINT log_generations_statement CHECK (
    CASE WHEN generation = 1 THEN after_position = 0 AND num_nonnulls(previous_size, previous_root, salt, content, commitment) = 0
      ELSE generation > 1 AND num_nulls(previous_size, previous_root, salt, content, commitment) = 0 AND
        after_position >= 0 AND previous_size >= 0 AND length(previous_root) = 32 AND length(salt) = 32 AND length(commitment) = 32 END),
  CONSTRAINT log_generations_tree CHECK (size >= 0 AND length(root) = 32),
  -- A line of a checkpoint, and a name of a key.
  CONSTRAINT log_generations_name CHECK (origin ~ '^[!-*,-~]{1,255}$')
);
--> statement-breakpoint
CREATE TABLE log_tiles (
  generation integer NOT NULL,
  level smallint NOT NULL,
  number bigint NOT NULL,
  hashes bytea NOT NULL,
  CONSTRAINT log_tiles_generation_level_number_pk PRIMARY KEY (generation, level, number),
  CONSTRAINT log_tiles_generation FOREIGN KEY (generation) REFERENCES log_generations (generation),
  CONSTRAINT log_tiles_place CHECK (level BETWEEN 0 AND 63 AND number >= 0),
  CONSTRAINT log_tiles_width CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0)
);
--> statement-breakpoint
ALTER TABLE log_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
--> statement-breakpoint
CREATE TABLE log_checkpoints (
  generation integer NOT NULL,
  size bigint NOT NULL,
  root bytea NOT NULL,
  note text NOT NULL,
  vkeys text[] NOT NULL,
  signed_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT log_checkpoints_generation_size_pk PRIMARY KEY (generation, size),
  CONSTRAINT log_checkpoints_generation FOREIGN KEY (generation) REFERENCES log_generations (generation),
  CONSTRAINT log_checkpoints_tree CHECK (size >= 0 AND length(root) = 32)
);
--> statement-breakpoint
CREATE TABLE log_cosignatures (
  generation integer NOT NULL,
  size bigint NOT NULL,
  witness text NOT NULL,
  signature text NOT NULL,
  cosigned_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT log_cosignatures_generation_size_witness_pk PRIMARY KEY (generation, size, witness),
  CONSTRAINT log_cosignatures_checkpoint FOREIGN KEY (generation, size) REFERENCES log_checkpoints (generation, size)
);
--> statement-breakpoint
-- The tables with rows of before this migration; after_key is the last one that was digested.
CREATE TABLE digest_progress (
  relation text PRIMARY KEY,
  after_key text,
  is_done boolean NOT NULL DEFAULT false
);
--> statement-breakpoint
CREATE FUNCTION guard_digest() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.salt IS NOT NULL OR (NEW.write_id, NEW.number, NEW.relation, NEW.operation, NEW.keys, NEW.hashes)
     IS DISTINCT FROM (OLD.write_id, OLD.number, OLD.relation, OLD.operation, OLD.keys, OLD.hashes) THEN
    PERFORM refuse('row_digests_append_only', 'UPDATE is refused: only an erasure deletes a salt');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_opening() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.salt IS NOT NULL OR NEW.content IS NOT NULL OR
     (NEW.event_id, NEW.write_id, NEW.commitment) IS DISTINCT FROM (OLD.event_id, OLD.write_id, OLD.commitment) THEN
    PERFORM refuse('openings_append_only', 'UPDATE is refused: only an erasure deletes a salt and its content');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_generation() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    -- A number may be left out: a ledger that went back has forgotten generations whose tiles were served.
    IF NEW.generation <= (SELECT max(generation) FROM log_generations) OR NEW.size <> 0 THEN
      PERFORM refuse('log_generations_next', 'a generation comes after the newest one, and starts with an empty tree');
    END IF;
    RETURN NEW;
  END IF;
  IF NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root) OR
     (NEW.generation, NEW.origin, NEW.started_at, NEW.after_position, NEW.previous_size, NEW.previous_root, NEW.salt, NEW.content,
       NEW.commitment) IS DISTINCT FROM
     (OLD.generation, OLD.origin, OLD.started_at, OLD.after_position, OLD.previous_size, OLD.previous_root, OLD.salt, OLD.content,
       OLD.commitment) THEN
    PERFORM refuse('log_generations_append_only', 'UPDATE is refused: a tree only grows');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_tile() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.generation, NEW.level, NEW.number) IS DISTINCT FROM (OLD.generation, OLD.level, OLD.number) OR
     substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes THEN
    PERFORM refuse('log_tiles_append_only', 'UPDATE is refused: a tile only grows');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_checkpoint() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.size >= (SELECT max(size) FROM log_checkpoints c WHERE c.generation = OLD.generation) THEN
      PERFORM refuse('log_checkpoints_newest', 'DELETE is refused: the newest checkpoint stays');
    END IF;
    RETURN OLD;
  END IF;
  IF NOT EXISTS (SELECT FROM log_generations g WHERE g.generation = NEW.generation AND g.size >= NEW.size
      AND g.generation = (SELECT max(generation) FROM log_generations)) THEN
    PERFORM refuse('log_checkpoints_covered', 'a checkpoint is of the tree of the newest generation');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_digest BEFORE UPDATE ON row_digests FOR EACH ROW EXECUTE FUNCTION guard_digest();
--> statement-breakpoint
CREATE TRIGGER guard_opening BEFORE UPDATE ON openings FOR EACH ROW EXECUTE FUNCTION guard_opening();
--> statement-breakpoint
CREATE TRIGGER guard_generation BEFORE INSERT OR UPDATE ON log_generations FOR EACH ROW EXECUTE FUNCTION guard_generation();
--> statement-breakpoint
CREATE TRIGGER guard_checkpoint BEFORE INSERT OR DELETE ON log_checkpoints FOR EACH ROW EXECUTE FUNCTION guard_checkpoint();
--> statement-breakpoint
CREATE TRIGGER guard_tile BEFORE UPDATE ON log_tiles FOR EACH ROW EXECUTE FUNCTION guard_tile();
--> statement-breakpoint
DO $$
DECLARE
  relation text;
BEGIN
  FOREACH relation IN ARRAY ARRAY['row_digests', 'openings', 'log_generations', 'log_tiles'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', relation);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', relation);
  END LOOP;
  FOREACH relation IN ARRAY ARRAY['log_checkpoints', 'log_cosignatures'] LOOP
    EXECUTE format('CREATE TRIGGER append_only_update BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', relation);
  END LOOP;
END $$;
--> statement-breakpoint
-- 32 bytes that nobody can guess. A UUID has 122 random bits.
CREATE FUNCTION random_salt() RETURNS bytea
LANGUAGE sql VOLATILE AS $$ SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) $$;
--> statement-breakpoint
-- The salt of row i of a digest, from 0: so a row can be shown without its neighbours.
CREATE FUNCTION row_salt(salt bytea, i bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$ SELECT sha256(salt || int8send(i)) $$;
--> statement-breakpoint
-- The leaf hash (RFC 6962) of a row: of its salt and its text. Stable as convert_to() is, or PostgreSQL would not inline it.
CREATE FUNCTION row_hash(salt bytea, content text) RETURNS bytea
LANGUAGE sql STABLE AS $$ SELECT sha256('\x00'::bytea || salt || convert_to(content, 'UTF8')) $$;
--> statement-breakpoint
-- HMAC-SHA-256 (RFC 2104) with a key of 32 bytes. bit_send() writes the length as 4 bytes before the bits.
CREATE FUNCTION commitment_of(salt bytea, content text) RETURNS bytea
LANGUAGE sql STABLE AS $$
  SELECT sha256(substr(bit_send(('x' || encode(salt, 'hex'))::bit(256) # repeat('01011100', 32)::bit(256)), 5)
    || decode(repeat('5c', 32), 'hex')
    || sha256(substr(bit_send(('x' || encode(salt, 'hex'))::bit(256) # repeat('00110110', 32)::bit(256)), 5)
      || decode(repeat('36', 32), 'hex') || convert_to(content, 'UTF8')))
$$;
--> statement-breakpoint
-- The root (RFC 6962) over leaf hashes of 32 bytes each. A last node without a sibling moves up a level.
CREATE FUNCTION merkle_root(hashes bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = public, pg_temp AS $$
DECLARE
  count integer := length(hashes) / 32;
BEGIN
  IF count = 0 THEN
    RETURN sha256('');
  END IF;
  WHILE count > 2 LOOP
    hashes := (SELECT string_agg(
        CASE WHEN 2 * i + 1 < count THEN sha256('\x01'::bytea || substr(hashes, 64 * i + 1, 64))
          ELSE substr(hashes, 64 * i + 1, 32) END, '' ORDER BY i)
      FROM generate_series(0, (count - 1) / 2) AS i);
    count := (count + 1) / 2;
  END LOOP;
  RETURN CASE count WHEN 2 THEN sha256('\x01'::bytea || hashes) ELSE hashes END;
END $$;
--> statement-breakpoint
-- Adds a digest to the write of this transaction. A setting of the transaction remembers which that is, because the ids of
-- transactions come again after a restore into another cluster.
CREATE FUNCTION append_digest(relation text, operation text, keys text[], salt bytea, hashes bytea) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  transaction text := pg_current_xact_id()::text;
  write text[] := string_to_array(current_setting('outlook_ledger.write', true), ':');
BEGIN
  IF write[1] = transaction THEN
    write[3] := (write[3]::integer + 1)::text;
  ELSE
    write := ARRAY[transaction, nextval('writes_id_seq')::text, '1'];
  END IF;
  PERFORM set_config('outlook_ledger.write', array_to_string(write, ':'), true);
  INSERT INTO row_digests VALUES (write[2]::bigint, write[3]::integer, relation, operation, keys, salt, hashes);
END $$;
--> statement-breakpoint
-- What each event of the log was about, as a path of the API.
CREATE FUNCTION event_subject(event events, slug text) RETURNS text
LANGUAGE sql STABLE AS $$
  -- Events of earlier releases may lack members; their openings must not fail for it.
  SELECT '/v1/outlooks/' || slug || coalesce(CASE
    WHEN (event).kind IN ('outlook.created', 'outlook.version.published') THEN '/versions/' || (event).version
    WHEN (event).kind = 'evidence.added' THEN '/evidence/' || ((event).data->>'id')
    WHEN (event).kind IN ('view.published', 'view.withdrawn') THEN '/views/' || ((event).data->'analyst'->>'id')
    WHEN (event).kind IN ('outlook.resolved', 'outlook.reopened', 'outlook.resolution.contradicted') THEN '/resolution'
    WHEN (event).kind LIKE 'condition.%' THEN '/conditions/' || ((event).data->>'key')
    END, '')
$$;
--> statement-breakpoint
-- Opens events: writes what each commits to, in canonical JSON (RFC 8785). `caller` did what has no author of its own.
CREATE FUNCTION open_events(ids bigint[], write bigint, caller uuid, digested_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  digests bytea;
  rows text;
  seed bytea := random_salt(); -- in no table, so that no salt tells another one
BEGIN
  SELECT string_agg(hashes, '' ORDER BY number) INTO digests FROM row_digests WHERE write_id = write;
  rows := format('{"count":%s,"root":"%s"}', length(digests) / 32, encode(merkle_root(digests), 'base64'));
  INSERT INTO openings (event_id, write_id, salt, content, commitment)
  SELECT id, write, salt, content, commitment_of(salt, content)
    FROM (
      SELECT e.id, sha256(seed || int8send(e.id)) AS salt,
          '{"at":"' || to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
          || '","by":' || coalesce('{"id":"' || a.id || '","name":' || to_json(a.name) || '}', 'null')
          || coalesce(',"digestedAt":"' || to_char(digested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"', '')
          || ',"kind":"' || e.kind
          || CASE WHEN digested_at IS NULL THEN '"' ELSE '","late":true' END
          || ',"rows":' || rows
          || ',"subject":' || to_json(coalesce(event_subject(e, o.slug), e.data->>'subject', '')) || ',"v":1}' AS content
        FROM events e
        LEFT JOIN outlooks o ON o.id = e.outlook_id
        -- LIMIT, so that no plan reads all analysts.
        LEFT JOIN LATERAL (SELECT * FROM analysts WHERE id = coalesce(
          CASE
            WHEN e.kind IN ('outlook.created', 'outlook.version.published') THEN (SELECT v.author_id FROM outlook_versions v
              WHERE v.outlook_id = e.outlook_id AND v.version = e.version)
            WHEN e.kind = 'evidence.added' THEN (SELECT w.author_id FROM evidence w WHERE w.id = (e.data->>'id')::uuid)
            WHEN e.kind IN ('view.published', 'view.withdrawn') THEN (e.data->'analyst'->>'id')::uuid
            WHEN e.kind IN ('outlook.resolved', 'outlook.reopened') THEN (SELECT r.author_id FROM resolutions r
              WHERE r.outlook_id = e.outlook_id AND r.number = (e.data->>'number')::integer) END, caller) LIMIT 1) AS a ON true
       WHERE e.id = ANY (ids)
       OFFSET 0 -- so that each content is written once
    ) AS event;
END $$;
--> statement-breakpoint
-- The event of a write that has none. Its kind is that of the first of these tables with a row in the write.
CREATE FUNCTION add_administrative_event(write bigint, entry audit_entries) RETURNS bigint
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  event text;
  subject text;
  id bigint;
BEGIN
  SELECT kinds.kind,
      CASE d.relation
        WHEN 'api_keys' THEN '/v1/keys/' || d.keys[1]
        WHEN 'webhooks' THEN '/v1/webhooks/' || d.keys[1]
        WHEN 'instruments' THEN '/v1/instruments/' || (SELECT symbol FROM instruments i WHERE i.id = d.keys[1]::bigint)
        WHEN 'series' THEN '/v1/series/' || (SELECT key FROM series s WHERE s.id = d.keys[1]::bigint)
        WHEN 'observations' THEN '/v1/series/' || (SELECT key FROM series s WHERE s.id = split_part(d.keys[1], ',', 1)::bigint) || '/observations'
        WHEN 'analysts' THEN '/v1/analysts/' || d.keys[1]
        WHEN 'log_generations' THEN '/log/' || d.keys[1]
        ELSE d.relation END
    INTO event, subject
    FROM row_digests d
    JOIN (VALUES
      (1, 'log_generations', 'insert', 'log.generation.started'),
      (2, 'api_keys', 'insert', 'key.issued'),
      (3, 'api_keys', 'update', 'key.revoked'),
      (4, 'webhooks', NULL, 'webhook.changed'),
      (5, 'series_sources', NULL, 'source.changed'),
      (6, 'observations', 'insert', 'observations.recorded'),
      (7, 'series', 'insert', 'series.added'),
      (8, 'instruments', 'insert', 'instrument.added'),
      (9, 'instruments', 'update', 'instrument.changed'),
      (10, 'analysts', 'insert', 'analyst.added'),
      (11, 'analyst_identities', 'insert', 'analyst.added'),
      (12, NULL, NULL, 'write.recorded')
    ) AS kinds (rank, relation, operation, kind)
      ON coalesce(kinds.relation = d.relation, true) AND coalesce(kinds.operation = d.operation, true)
   WHERE d.write_id = write
   ORDER BY kinds.rank, d.number LIMIT 1;
  IF entry.kind = 'refusal' THEN
    event := 'refusals.recorded';
  END IF;
  INSERT INTO events (kind, data, recorded_at)
  VALUES (event, jsonb_build_object('subject', coalesce(entry.subject, subject)), coalesce(entry.recorded_at, clock_timestamp()))
  RETURNING events.id INTO id;
  RETURN id;
END $$;
--> statement-breakpoint
-- Runs once when a transaction commits, after its last write. The setting is emptied, so that a write after SET CONSTRAINTS
-- counts as another one. Without sequential scans, because a session keeps the plans that it made while the tables were small.
CREATE FUNCTION seal_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  ids bigint[];
  entries bigint[];
  entry audit_entries;
BEGIN
  -- The ids of transactions come again after a restore into another cluster: an older event has an opening.
  ids := (SELECT array_agg(e.id) FROM events e
           WHERE e.transaction_id = pg_current_xact_id() AND e.position IS NULL AND e.log_position IS NULL
             AND NOT EXISTS (SELECT FROM openings o WHERE o.event_id = e.id));
  SELECT array_agg(key::bigint) INTO entries
    FROM row_digests d, unnest(d.keys) AS key
   WHERE d.write_id = NEW.write_id AND d.relation = 'audit_entries' AND d.operation = 'insert';
  IF ids IS NULL OR cardinality(entries) = 1 THEN
    SELECT * INTO entry FROM audit_entries WHERE id = entries[1];
  END IF;
  IF ids IS NULL THEN
    ids := ARRAY[add_administrative_event(NEW.write_id, entry)];
  END IF;
  PERFORM set_config('outlook_ledger.write', '', true);
  PERFORM open_events(ids, NEW.write_id, entry.analyst_id, NULL);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER seal_write AFTER INSERT ON row_digests DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.number = 1) EXECUTE FUNCTION seal_write();
--> statement-breakpoint
-- Gives events openings that lack them: those of before this migration, and those written past the triggers. Their content
-- says that they were digested late. For the one instance that extends the tree.
CREATE FUNCTION open_late_events(first_position bigint, last_position bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET timezone = 'UTC' SET datestyle = 'ISO' SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
DECLARE
  ids bigint[];
  write bigint;
  salt bytea := random_salt();
BEGIN
  -- No name is erased meanwhile (erase_name).
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('outlook-ledger names', 0));
  ids := ARRAY(
    SELECT e.id FROM events e
     WHERE coalesce(e.log_position, e.position) BETWEEN first_position AND last_position
       AND NOT EXISTS (SELECT FROM openings o WHERE o.event_id = e.id)
     ORDER BY coalesce(e.log_position, e.position));
  IF ids = '{}' THEN
    RETURN 0;
  END IF;
  write := nextval('writes_id_seq');
  INSERT INTO row_digests
  SELECT write, 0, 'events', 'found', array_agg(key), salt, string_agg(row_hash(row_salt(salt, i), content), '')
    FROM (
      SELECT row_number() OVER (ORDER BY coalesce(e.log_position, e.position)) - 1 AS i, row_key(e) AS key, row_text(e) AS content
        FROM events e
       WHERE e.id = ANY (ids) AND e.kind NOT IN ('outlook.created', 'outlook.version.published')
       ORDER BY coalesce(e.log_position, e.position)
    ) AS event HAVING count(*) > 0;
  PERFORM open_events(ids, write, NULL, clock_timestamp());
  RETURN cardinality(ids);
END $$;
--> statement-breakpoint
-- The columns of a table's primary key, in their order, with the types of their values.
CREATE FUNCTION key_columns(relation regclass) RETURNS TABLE (name text, type text, number integer)
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT a.attname, format_type(a.atttypid, NULL), k.number::integer
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attribute, number)
    JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.attribute
   WHERE i.indrelid = relation AND i.indisprimary
$$;
--> statement-breakpoint
-- Makes a table part of the log: row_key() and row_text() of its rows, and triggers that digest what is written. The text of a
-- row is canonical JSON (RFC 8785): a string for each column that is not null, except for `omitted` ones, which the ledger
-- derives or which say nothing of the record. A table with `is_changed` has rows that are changed or deleted. Only rows that
-- meet `condition` are digested. Call it again when the table gets a column; the texts of older rows must stay as they are.
CREATE FUNCTION digest_table(relation regclass, omitted text[] DEFAULT '{}', is_changed boolean DEFAULT false, condition text DEFAULT 'true')
RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $body$
DECLARE
  name text := relation::text;
  settings text := 'SECURITY DEFINER SET search_path = public, pg_temp SET timezone = ''UTC'' SET datestyle = ''ISO'' '
    || 'SET extra_float_digits = 1 SET bytea_output = ''hex''';
  is_composite boolean := (SELECT count(*) > 1 FROM key_columns(relation));
  row_of text := format('ROW(written.*)::%I', name);
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION row_key(r %I) RETURNS text LANGUAGE sql STABLE AS $$ SELECT concat_ws('','', %s) $$', name,
    (SELECT string_agg(format(CASE WHEN is_composite AND k.type = 'text' THEN 'replace((r).%I, '','', ''%%2C'')' ELSE '(r).%I' END, k.name),
        ', ' ORDER BY k.number) FROM key_columns(relation) k));
  EXECUTE format('CREATE OR REPLACE FUNCTION row_text(r %I) RETURNS text LANGUAGE sql STABLE AS $$ SELECT ''{"row":{'' || concat_ws('','', %s) || ''},"table":"%s"}'' $$', name,
    (SELECT string_agg(CASE
          -- Their texts need no escapes.
          WHEN atttypid = ANY ('{int2, int4, int8, float8, bool, date, timestamptz, uuid}'::regtype[]) THEN format('%L || (r).%I || ''"''', '"' || attname || '":"', attname)
          ELSE format('%L || to_json((r).%I::text)', '"' || attname || '":', attname) END, ', ' ORDER BY attname COLLATE "C")
       FROM pg_attribute
      WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped AND attname <> ALL (omitted)), name);
  EXECUTE format($function$CREATE OR REPLACE FUNCTION digest_%1$s() RETURNS trigger LANGUAGE plpgsql %2$s AS $$
DECLARE
  salt bytea := random_salt();
  keys text[];
  hashes bytea;
BEGIN
  SELECT array_agg(key), string_agg(row_hash(row_salt(salt, i), content), '') INTO keys, hashes
    FROM (SELECT row_number() OVER () - 1 AS i, row_key(%3$s) AS key, row_text(%3$s) AS content FROM written WHERE %4$s) AS r;
  IF keys IS NOT NULL THEN
    PERFORM append_digest('%1$s', 'insert', keys, salt, hashes);
  END IF;
  RETURN NULL;
END $$$function$, name, settings, row_of, condition);
  EXECUTE format('CREATE OR REPLACE TRIGGER digest AFTER INSERT ON %I REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION digest_%s()', name, name);
  IF is_changed THEN
    EXECUTE format($function$CREATE OR REPLACE FUNCTION digest_changed_%1$s() RETURNS trigger LANGUAGE plpgsql %2$s AS $$
DECLARE
  salt bytea := random_salt();
  changed %1$I := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  PERFORM append_digest('%1$s', lower(TG_OP), ARRAY[row_key(changed)], salt, row_hash(row_salt(salt, 0), row_text(changed)));
  RETURN NULL;
END $$$function$, name, settings);
    EXECUTE format('CREATE OR REPLACE TRIGGER digest_update AFTER UPDATE ON %I FOR EACH ROW WHEN (row_text(OLD) IS DISTINCT FROM row_text(NEW)) EXECUTE FUNCTION digest_changed_%s()', name, name);
    EXECUTE format('CREATE OR REPLACE TRIGGER digest_delete AFTER DELETE ON %I FOR EACH ROW EXECUTE FUNCTION digest_changed_%s()', name, name);
  END IF;
END $body$;
--> statement-breakpoint
DO $$
BEGIN
  PERFORM digest_table(relation) FROM unnest(ARRAY['analysts', 'analyst_identities', 'series', 'evidence', 'evidence_claims', 'forecasters',
    'drawdown_labels', 'headwinds', 'invalidation_conditions', 'condition_comparisons', 'scenarios', 'condition_changes', 'condition_answers',
    'condition_evidence', 'drawdown_changes', 'resolution_contradictions', 'resolution_evidence', 'version_evidence', 'views',
    'version_views', 'forecast_sums', 'forecast_buckets', 'forecast_leads']::regclass[]) AS relation;
  PERFORM digest_table('api_keys', '{last_used_at}', is_changed => true);
  PERFORM digest_table('instruments', is_changed => true);
  PERFORM digest_table('observations', '{superseded_at}');
  PERFORM digest_table('outlooks', '{status, latest_version, published_at, transaction_id, review_reasons, hash, framework_id, bear_bps,
    base_bps, bull_bps, condition_states, horizon_ended_at, is_contradicted, continued_by}');
  PERFORM digest_table('frameworks', '{search}');
  PERFORM digest_table('outlook_versions', '{transaction_id}');
  -- The event of a version says what the version says; npm run verify compares them.
  PERFORM digest_table('events', '{position, log_position, transaction_id}',
    condition => 'kind NOT IN (''outlook.created'', ''outlook.version.published'')');
  PERFORM digest_table('resolutions', '{superseded_at}');
  PERFORM digest_table('series_sources', '{due_at, attempts, started_at, failures, last_success_at, last_added, last_revised, last_unchanged,
    last_error_at, last_error, etag, last_modified}', is_changed => true);
  PERFORM digest_table('webhooks', '{secret, previous_secret, previous_secret_until, position, failing_since, disabled_at, disabled_reason}',
    is_changed => true);
  PERFORM digest_table('log_generations', '{size, root}');
  -- Refusals of unknown callers are deleted some days later.
  PERFORM digest_table('audit_entries', condition => 'kind = ''write'' OR analyst_id IS NOT NULL OR credential IS NOT NULL');
END $$;
--> statement-breakpoint
-- Digests rows of before this migration, at most `most` of one table, as a write of its own; the last one says that all are
-- digested. Several instances may call it: they take turns. It answers whether there may be more.
CREATE FUNCTION digest_existing_rows(most integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET timezone = 'UTC' SET datestyle = 'ISO' SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
DECLARE
  progress digest_progress;
  key_order text;
  condition text;
  found_keys text[];
  found_hashes bytea;
  salt bytea := random_salt();
  is_last boolean;
BEGIN
  -- No name is erased meanwhile (erase_name).
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('outlook-ledger names', 0));
  -- The next one waits: of two at once, neither would see that it is the last.
  SELECT * INTO progress FROM digest_progress WHERE NOT is_done ORDER BY relation LIMIT 1 FOR UPDATE;
  IF progress.relation IS NULL THEN
    RETURN EXISTS (SELECT FROM digest_progress WHERE NOT is_done);
  END IF;
  IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = progress.relation::regclass AND tgname = 'digest_update') THEN
    -- A change under way gets its digest before this one, which must not say what the row was before it.
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', progress.relation);
  END IF;
  SELECT string_agg(quote_ident(name), ', ' ORDER BY number),
      format('($1 IS NULL OR (%s) > (%s))', string_agg(quote_ident(name), ', ' ORDER BY number),
        string_agg(CASE WHEN type = 'text' AND count > 1 THEN format('replace(split_part($1, '','', %s), ''%%2C'', '','')', number)
          WHEN count > 1 THEN format('split_part($1, '','', %s)::%s', number, type) ELSE '$1::' || type END, ', ' ORDER BY number))
    INTO key_order, condition
    FROM (SELECT *, count(*) OVER () FROM key_columns(progress.relation::regclass)) AS k;
  IF progress.relation = 'audit_entries' THEN
    condition := condition || ' AND (kind = ''write'' OR analyst_id IS NOT NULL OR credential IS NOT NULL)';
  END IF;
  EXECUTE format('SELECT array_agg(key), string_agg(row_hash(row_salt($3, i), content), '''')
      FROM (SELECT row_number() OVER (ORDER BY %2$s) - 1 AS i, row_key(r) AS key, row_text(r) AS content
        FROM (SELECT * FROM %1$I WHERE %3$s ORDER BY %2$s LIMIT $2) AS existing
        CROSS JOIN LATERAL (SELECT ROW(existing.*)::%1$I) AS whole (r) ORDER BY %2$s) AS found',
      progress.relation, key_order, condition)
    INTO found_keys, found_hashes USING progress.after_key, most, salt;
  UPDATE digest_progress
     SET after_key = coalesce(found_keys[cardinality(found_keys)], after_key), is_done = coalesce(cardinality(found_keys), 0) < most
   WHERE relation = progress.relation;
  is_last := NOT EXISTS (SELECT FROM digest_progress WHERE NOT is_done);
  IF found_keys IS NOT NULL THEN
    PERFORM append_digest(progress.relation, 'found', found_keys, salt, found_hashes);
  END IF;
  IF found_keys IS NOT NULL OR is_last THEN
    INSERT INTO events (kind, data, recorded_at)
    VALUES (CASE WHEN is_last THEN 'ledger.digested' ELSE 'rows.digested' END,
      jsonb_build_object('subject', CASE WHEN is_last THEN '/v1/log' ELSE progress.relation END), clock_timestamp());
  END IF;
  RETURN NOT is_last;
END $$;
--> statement-breakpoint
-- Also gives the events of outlooks their positions, which have no gaps. Administrative events have places in the log only.
CREATE OR REPLACE FUNCTION sequence_events() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
  at_once CONSTANT integer := 1000;
  -- Transactions between two writes of the watermark; so many dead entries a look may read.
  apart CONSTANT bigint := 100;
  sequenced xid8 := sequenced_before();
  oldest xid8;
  number integer;
BEGIN
  IF EXISTS (SELECT FROM event_watermark WHERE is_only AND transaction_id > sequenced) THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger events', 0));
    UPDATE event_watermark SET transaction_id = sequenced_before() WHERE is_only AND transaction_id > sequenced;
  END IF;
  IF EXISTS (SELECT FROM events WHERE position IS NULL AND log_position IS NULL AND transaction_id >= sequenced) THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger events', 0));
    WITH pending AS (
      SELECT id, coalesce((SELECT max(coalesce(log_position, position)) FROM events), 0) + row_number() OVER (ORDER BY id) AS place,
          CASE WHEN outlook_id IS NOT NULL THEN coalesce((SELECT max(position) FROM events), 0)
            + count(*) FILTER (WHERE outlook_id IS NOT NULL) OVER (ORDER BY id) END AS position
        FROM (SELECT id, outlook_id FROM events
               WHERE position IS NULL AND log_position IS NULL AND transaction_id >= sequenced ORDER BY id LIMIT at_once) AS unplaced
    ), placed AS (
      UPDATE events SET position = pending.position, log_position = pending.place FROM pending WHERE events.id = pending.id RETURNING events.id
    )
    SELECT count(*), pg_snapshot_xmin(pg_current_snapshot()) INTO number, oldest FROM placed;
    IF number < at_once AND oldest::text::bigint - sequenced::text::bigint >= apart THEN
      INSERT INTO event_watermark (transaction_id) VALUES (oldest)
      ON CONFLICT (is_only) DO UPDATE SET transaction_id = oldest WHERE event_watermark.transaction_id < oldest;
    END IF;
  END IF;
  RETURN (SELECT max(position) FROM events);
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_positions() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
  last bigint := (SELECT coalesce(max(position), 0) FROM events) - (SELECT count(position) FROM placed);
  last_place bigint := (SELECT coalesce(max(coalesce(log_position, position)), 0) FROM events) - (SELECT count(*) FROM placed);
  sequenced xid8 := sequenced_before();
BEGIN
  IF last <> 0 AND NOT EXISTS (SELECT FROM events WHERE position = last)
     OR last_place <> 0 AND NOT EXISTS (SELECT FROM events WHERE coalesce(log_position, position) = last_place)
     OR EXISTS (
       SELECT FROM (SELECT position, log_position, last_place + row_number() OVER (ORDER BY id) AS place_due,
           CASE WHEN outlook_id IS NOT NULL THEN last + count(outlook_id) OVER (ORDER BY id) END AS due FROM placed) AS event
        WHERE position IS DISTINCT FROM due OR log_position IS DISTINCT FROM place_due)
     OR EXISTS (
       SELECT FROM events AS older JOIN placed ON placed.outlook_id = older.outlook_id
        WHERE older.position IS NULL AND older.log_position IS NULL AND older.transaction_id >= sequenced AND older.id < placed.id) THEN
    PERFORM refuse('events_position', 'positions are given by sequence_events()');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_new_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.position IS NOT NULL OR NEW.log_position IS NOT NULL THEN
    PERFORM refuse('events_position', 'positions are given by sequence_events()');
  END IF;
  NEW.transaction_id := pg_current_xact_id();
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
    PERFORM refuse('events_append_only', 'UPDATE is refused: an event is given its position once, nothing else');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_watermark() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
  sequenced xid8 := sequenced_before();
BEGIN
  IF NEW.transaction_id < sequenced OR NEW.transaction_id > pg_snapshot_xmin(pg_current_snapshot()) OR EXISTS (
       SELECT FROM events
        WHERE position IS NULL AND log_position IS NULL AND transaction_id >= sequenced AND transaction_id < NEW.transaction_id) THEN
    PERFORM refuse('event_watermark_sequenced', 'an event of an older transaction may have no position yet');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
DO $$
DECLARE
  name text;
  has_rows boolean;
BEGIN
  FOR name IN SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'digest' AND tgrelid <> 'events'::regclass LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO has_rows;
    IF has_rows THEN
      INSERT INTO digest_progress (relation) VALUES (name);
    END IF;
  END LOOP;
END $$;
