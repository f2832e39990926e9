-- Runs with the release of migration 0032 and later.
-- Late events that are all of versions are written without digests. Their openings say so, and are JSON.
-- Opens events: writes what each commits to, in canonical JSON (RFC 8785). `caller` did what has no author of its own.
CREATE OR REPLACE FUNCTION open_events(ids bigint[], write bigint, caller uuid, digested_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  -- Late events of versions are written without digests; see digest_table('events').
  digests bytea := coalesce((SELECT string_agg(hashes, '' ORDER BY number) FROM row_digests WHERE write_id = write), '');
  rows text := format('{"count":%s,"root":"%s"}', length(digests) / 32, encode(merkle_root(digests), 'base64'));
  seed bytea := random_salt(); -- in no table, so that no salt tells another one
BEGIN
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
-- Makes a table part of the log: row_key() and row_text() of its rows, and triggers that digest what is written. The text of a
-- row is canonical JSON (RFC 8785): a string for each column that is not null, except for `omitted` ones, which the ledger
-- derives or which say nothing of the record. A table with `is_changed` has rows that are changed or deleted. Only rows that
-- meet `condition` are digested. Call it again when the table gets a column; the texts of older rows must stay as they are.
CREATE OR REPLACE FUNCTION digest_table(relation regclass, omitted text[] DEFAULT '{}', is_changed boolean DEFAULT false, condition text DEFAULT 'true')
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
    (SELECT string_agg(format(CASE WHEN is_composite AND k.type = 'text'
        THEN 'replace(replace((r).%I, ''%%'', ''%%25''), '','', ''%%2C'')' ELSE '(r).%I' END, k.name),
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
-- Digests rows of before this migration, at most `most` of one table, as a write of its own; the last one says that all are
-- digested. Several instances may call it: they take turns. It answers whether there may be more.
CREATE OR REPLACE FUNCTION digest_existing_rows(most integer) RETURNS boolean
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
        string_agg(CASE WHEN type = 'text' AND count > 1 THEN format('replace(replace(split_part($1, '','', %s), ''%%2C'', '',''), ''%%25'', ''%%'')', number)
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
-- Only analyst_identities can have such keys: the texts in other composite ones are slugs, or one of a few words. Nobody digests
-- one meanwhile, and no name is erased.
SELECT pg_advisory_xact_lock(hashtextextended('outlook-ledger names', 0));
--> statement-breakpoint
ALTER TABLE row_digests DISABLE TRIGGER guard_digest;
--> statement-breakpoint
SELECT digest_table('analyst_identities');
--> statement-breakpoint
-- Digests are found by their keys, which no hash covers. An earlier key may be that of two rows: the hash tells which.
WITH respelled AS (
  SELECT write_id, number, array_agg(key ORDER BY place) AS keys
    FROM (
      SELECT DISTINCT ON (d.write_id, d.number, k.place) d.write_id, d.number, k.place,
          CASE WHEN i.issuer IS NULL THEN k.key ELSE row_key(i) END AS key
        FROM row_digests d CROSS JOIN unnest(d.keys) WITH ORDINALITY AS k (key, place)
        LEFT JOIN analyst_identities i ON replace(i.issuer, ',', '%2C') || ',' || replace(i.subject, ',', '%2C') = k.key
       WHERE d.relation = 'analyst_identities'
         AND EXISTS (SELECT FROM analyst_identities WHERE strpos(issuer || subject, '%') > 0)
       ORDER BY d.write_id, d.number, k.place,
         row_hash(row_salt(d.salt, k.place - 1), row_text(i)) = substr(d.hashes, (32 * k.place - 31)::integer, 32) DESC NULLS LAST
    ) AS found
   GROUP BY write_id, number
)
UPDATE row_digests d SET keys = r.keys
  FROM respelled r WHERE d.write_id = r.write_id AND d.number = r.number AND d.keys <> r.keys;
--> statement-breakpoint
ALTER TABLE row_digests ENABLE TRIGGER guard_digest;
--> statement-breakpoint
-- The key does not say where to go on; rows may be digested twice.
UPDATE digest_progress SET after_key = NULL WHERE relation = 'analyst_identities' AND strpos(after_key, '%') > 0;
