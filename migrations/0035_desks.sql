-- Runs with the release of migration 0032 and later.
-- Outlooks and series belong to desks, for good, and keys may act for some desks only. What is internal shows to its own desk
-- until a disclosure makes it public. What is older than this migration, or from a release before it, belongs to the first desk,
-- is public, and its keys act for all desks.
ALTER TABLE events DROP CONSTRAINT events_kind, ADD CONSTRAINT events_kind CHECK (
    CASE WHEN kind IN ('analyst.added', 'analyst.deactivated', 'analyst.erased', 'analyst.reactivated', 'analyst.renamed', 'desk.added', 'desk.changed', 'instrument.added', 'instrument.changed', 'key.issued', 'key.revoked', 'ledger.digested', 'log.generation.started', 'observations.recorded', 'policy.changed', 'proposal.approved', 'proposal.commented', 'proposal.discarded', 'proposal.edited', 'proposal.opened', 'proposal.published', 'proposal.returned', 'proposal.submitted', 'refusals.recorded', 'rows.digested', 'series.added', 'series.disclosed', 'source.changed', 'webhook.changed', 'write.recorded') THEN outlook_id IS NULL AND version IS NULL
      ELSE outlook_id IS NOT NULL AND version IS NOT NULL AND kind IN ('outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.horizon.ended', 'outlook.resolved', 'outlook.resolution.contradicted', 'outlook.reopened', 'outlook.disclosed', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published', 'view.withdrawn') END) NOT VALID;
--> statement-breakpoint
ALTER TABLE webhooks DROP CONSTRAINT webhooks_kinds, ADD CONSTRAINT webhooks_kinds CHECK (
    cardinality(kinds) > 0 AND kinds <@ ARRAY['outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.horizon.ended', 'outlook.resolved', 'outlook.resolution.contradicted', 'outlook.reopened', 'outlook.disclosed', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published', 'view.withdrawn']) NOT VALID;
--> statement-breakpoint
CREATE TABLE desks (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  slug text NOT NULL,
  name text NOT NULL,
  created_at timestamp(3) with time zone NOT NULL,
  changes integer NOT NULL DEFAULT 0,
  CONSTRAINT desks_slug_unique UNIQUE (slug),
  CONSTRAINT desks_slug CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 100),
  CONSTRAINT desks_name CHECK (name = btrim(name) AND name !~ '[[:cntrl:]]' AND length(name) BETWEEN 1 AND 300)
);
--> statement-breakpoint
ALTER TABLE outlooks ADD COLUMN desk_id integer CONSTRAINT outlooks_desk_id_desks_id_fk REFERENCES desks (id), ADD COLUMN is_internal boolean,
  ADD COLUMN internal_to integer CONSTRAINT outlooks_internal_to_desks_id_fk REFERENCES desks (id);
--> statement-breakpoint
ALTER TABLE series ADD COLUMN desk_id integer CONSTRAINT series_desk_id_desks_id_fk REFERENCES desks (id), ADD COLUMN is_internal boolean,
  ADD COLUMN internal_to integer CONSTRAINT series_internal_to_desks_id_fk REFERENCES desks (id);
--> statement-breakpoint
ALTER TABLE api_keys ADD COLUMN desk_ids integer[],
  ADD CONSTRAINT api_keys_desks CHECK (
    desk_ids IS NULL OR role <> 'admin' AND cardinality(desk_ids) > 0 AND array_position(desk_ids, NULL) IS NULL) NOT VALID;
--> statement-breakpoint
CREATE TABLE disclosures (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  outlook_id bigint CONSTRAINT disclosures_outlook_id_outlooks_id_fk REFERENCES outlooks (id),
  series_id bigint CONSTRAINT disclosures_series_id_series_id_fk REFERENCES series (id),
  author_id uuid NOT NULL CONSTRAINT disclosures_author_id_analysts_id_fk REFERENCES analysts (id),
  recorded_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT disclosures_outlook_id_unique UNIQUE (outlook_id),
  CONSTRAINT disclosures_series_id_unique UNIQUE (series_id),
  CONSTRAINT disclosures_subject CHECK (num_nonnulls(outlook_id, series_id) = 1)
);
--> statement-breakpoint
CREATE FUNCTION guard_desk() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.slug, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.slug, OLD.created_at) THEN
    PERFORM refuse('desks_fixed', 'the slug of a desk never changes');
  END IF;
  NEW.changes := OLD.changes + 1;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_new_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM unnest(NEW.desk_ids) AS desk WHERE desk NOT IN (SELECT id FROM desks)) THEN
    PERFORM refuse('api_keys_desks', 'a key can act only for desks that exist');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_api_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.analyst_id, NEW.role, NEW.hash, NEW.hint, NEW.created_at, NEW.expires_at, NEW.issued_by, NEW.desk_ids)
     IS DISTINCT FROM (OLD.id, OLD.analyst_id, OLD.role, OLD.hash, OLD.hint, OLD.created_at, OLD.expires_at, OLD.issued_by, OLD.desk_ids)
     OR NEW.issued_with IS DISTINCT FROM OLD.issued_with AND NOT is_erasing() THEN
    PERFORM refuse('api_keys_fixed', 'a key keeps what it was issued with');
  END IF;
  IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
    PERFORM refuse('api_keys_revocation_final', 'a revoked key stays revoked');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_new_series() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  NEW.desk_id := coalesce(NEW.desk_id, 1); -- the release before names none
  NEW.internal_to := CASE WHEN NEW.is_internal THEN NEW.desk_id END;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_series() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF pg_trigger_depth() = 1 OR NEW.internal_to IS NOT NULL OR to_jsonb(NEW) - 'internal_to' <> to_jsonb(OLD) - 'internal_to' THEN
    PERFORM refuse('series_append_only', 'UPDATE is refused: only a disclosure makes a series public, and nothing else changes');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_new_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  previous outlooks;
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
  IF NEW.continued_by IS NOT NULL THEN
    PERFORM refuse('outlooks_continued_by', 'only a later outlook continues an outlook');
  END IF;
  NEW.desk_id := coalesce(NEW.desk_id, 1); -- the release before names none
  NEW.internal_to := CASE WHEN NEW.is_internal THEN NEW.desk_id END;
  IF NEW.continues_id IS NOT NULL THEN
    -- A disclosure of it waits, or this sees it.
    SELECT * INTO previous FROM outlooks WHERE id = NEW.continues_id FOR NO KEY UPDATE;
    IF NEW.instrument_id <> previous.instrument_id OR NEW.horizon_to <= previous.horizon_to THEN
      PERFORM refuse('outlooks_continuation', 'an outlook is continued on its instrument, over a later horizon');
    END IF;
    IF NEW.desk_id <> coalesce(previous.desk_id, 1) THEN
      PERFORM refuse('outlooks_continuation_desk', 'an outlook is continued by its own desk');
    END IF;
    IF NEW.internal_to IS DISTINCT FROM previous.internal_to THEN
      PERFORM refuse('outlooks_continuation_visibility', 'outlooks that continue each other are both public or both internal');
    END IF;
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.slug, NEW.instrument_id, NEW.horizon_from, NEW.horizon_to, NEW.continues_id, NEW.desk_id, NEW.is_internal)
     IS DISTINCT FROM (OLD.id, OLD.slug, OLD.instrument_id, OLD.horizon_from, OLD.horizon_to, OLD.continues_id, OLD.desk_id, OLD.is_internal) THEN
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
  IF NEW.continued_by IS DISTINCT FROM OLD.continued_by AND pg_trigger_depth() = 1 THEN
    PERFORM refuse('outlooks_continued_by', 'only a later outlook continues an outlook');
  END IF;
  IF NEW.internal_to IS DISTINCT FROM OLD.internal_to AND (NEW.internal_to IS NOT NULL OR pg_trigger_depth() = 1) THEN
    PERFORM refuse('outlooks_visibility', 'only a disclosure makes an outlook public, and for good');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION seal_rules() RETURNS trigger
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
  -- A disclosure of the outlook waits, or this sees it.
  PERFORM FROM outlooks WHERE id = NEW.outlook_id FOR SHARE;
  IF EXISTS (
    SELECT FROM condition_comparisons c JOIN series s ON s.id = c.series_id JOIN outlooks o ON o.id = NEW.outlook_id
     WHERE c.framework_id = NEW.id AND s.internal_to IS NOT NULL AND s.internal_to IS DISTINCT FROM o.internal_to) THEN
    PERFORM refuse('frameworks_series_visibility', 'a public outlook watches public series only, and an internal one also those of its desk');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION require_public_closes() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM series WHERE id = NEW.closes_id AND internal_to IS NOT NULL) THEN
    PERFORM refuse('instruments_closes_public', 'all desks share instruments, so the closes of an instrument are a public series');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION disclose() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
BEGIN
  IF NEW.series_id IS NOT NULL THEN
    UPDATE series SET internal_to = NULL WHERE id = NEW.series_id AND internal_to IS NOT NULL;
  ELSE
    UPDATE outlooks SET internal_to = NULL WHERE id = NEW.outlook_id AND internal_to IS NOT NULL RETURNING * INTO outlook;
  END IF;
  IF NOT FOUND THEN
    PERFORM refuse('disclosures_internal', 'it is public already');
  END IF;
  IF NEW.series_id IS NOT NULL THEN
    RETURN NULL;
  END IF;
  IF EXISTS (
    SELECT FROM frameworks f JOIN condition_comparisons c ON c.framework_id = f.id JOIN series s ON s.id = c.series_id
     WHERE f.outlook_id = outlook.id AND s.internal_to IS NOT NULL) THEN
    PERFORM refuse('disclosures_series', 'a public outlook watches public series only');
  END IF;
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  VALUES ('outlook.disclosed', outlook.id, outlook.latest_version, '{"visibility": "public"}', NEW.recorded_at);
  RETURN NULL;
END $$;
--> statement-breakpoint
-- At the commit, because outlooks that continue each other are disclosed together.
CREATE FUNCTION require_disclosed_chain() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM outlooks o JOIN outlooks n ON n.id = o.continues_id
     WHERE NEW.outlook_id IN (o.id, n.id) AND num_nulls(o.internal_to, n.internal_to) = 1) THEN
    PERFORM refuse('disclosures_linked', 'outlooks that continue each other are disclosed together');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_desk BEFORE UPDATE ON desks FOR EACH ROW EXECUTE FUNCTION guard_desk();
--> statement-breakpoint
CREATE TRIGGER guard_new_key BEFORE INSERT ON api_keys FOR EACH ROW WHEN (NEW.desk_ids IS NOT NULL) EXECUTE FUNCTION guard_new_key();
--> statement-breakpoint
CREATE TRIGGER guard_new_series BEFORE INSERT ON series FOR EACH ROW EXECUTE FUNCTION guard_new_series();
--> statement-breakpoint
CREATE OR REPLACE TRIGGER append_only_update BEFORE UPDATE ON series FOR EACH ROW EXECUTE FUNCTION guard_series();
--> statement-breakpoint
CREATE TRIGGER require_public_closes BEFORE INSERT OR UPDATE OF closes_id ON instruments
  FOR EACH ROW WHEN (NEW.closes_id IS NOT NULL) EXECUTE FUNCTION require_public_closes();
--> statement-breakpoint
CREATE TRIGGER disclose AFTER INSERT ON disclosures FOR EACH ROW EXECUTE FUNCTION disclose();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER require_disclosed_chain AFTER INSERT ON disclosures DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.outlook_id IS NOT NULL) EXECUTE FUNCTION require_disclosed_chain();
--> statement-breakpoint
DO $$
DECLARE
  relation text;
BEGIN
  FOREACH relation IN ARRAY ARRAY['desks', 'disclosures'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', relation);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', relation);
  END LOOP;
END $$;
--> statement-breakpoint
CREATE TRIGGER append_only_update BEFORE UPDATE ON disclosures FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE OR REPLACE FUNCTION add_administrative_event(write bigint, entry audit_entries) RETURNS bigint
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
        WHEN 'desks' THEN '/v1/desks/' || (SELECT desks.slug FROM desks WHERE desks.id = d.keys[1]::integer)
        WHEN 'disclosures' THEN '/v1/series/' || (SELECT s.key FROM disclosures JOIN series s ON s.id = series_id
          WHERE disclosures.id = d.keys[1]::bigint)
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
      (12, 'desks', 'insert', 'desk.added'),
      (13, 'desks', 'update', 'desk.changed'),
      (14, 'disclosures', 'insert', 'series.disclosed'),
      (100, NULL, NULL, 'write.recorded')
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
DO $$
BEGIN
  PERFORM digest_table('desks', '{changes}', is_changed => true);
  PERFORM digest_table('disclosures');
  PERFORM digest_table('api_keys', '{last_used_at}', is_changed => true);
  PERFORM digest_table('series', '{internal_to}');
  PERFORM digest_table('outlooks', '{status, latest_version, published_at, transaction_id, review_reasons, hash, framework_id, bear_bps,
    base_bps, bull_bps, condition_states, horizon_ended_at, is_contradicted, continued_by, internal_to}');
END $$;
--> statement-breakpoint
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
    -- Computed once: the planner may think that events has one row, as when an index was made after the first desk.
    WITH pending AS MATERIALIZED (
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
INSERT INTO desks (slug, name, created_at) VALUES ('main', 'Main desk', clock_timestamp());
