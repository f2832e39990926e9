-- Runs with the release of migration 0014 and later.
-- Changes of conditions are applied a statement at a time, instead of each by itself. Events without a position are found by
-- the transaction that added them, by an index of the next migration: a look reads no dead entries again and again while
-- somebody holds a snapshot. Writers lock condition_changes before events, so this does, too.
-- The newest change of a condition, by condition_changes_of_outlook. "id + 0" keeps Postgres from walking the primary key
-- instead, as it does while it takes the table for small: a statement that adds thousands of changes would read each of them
-- again and again.
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
   WHERE outlook_id = NEW.outlook_id AND key = NEW.key ORDER BY id + 0 DESC LIMIT 1;
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
CREATE FUNCTION refresh_conditions(changed bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE outlooks o SET condition_states = derived.states, review_reasons = derived.reasons
    FROM (
      SELECT c.id, review_reasons_of(c) AS reasons, (
          SELECT coalesce(jsonb_object_agg(n.key, n.state) FILTER (WHERE n.state <> 'untriggered'), '{}')
            FROM (SELECT DISTINCT ON (key) * FROM condition_changes
                   WHERE outlook_id = c.id ORDER BY key, id DESC) AS n) AS states
        FROM outlooks c WHERE c.id = ANY (changed)
    ) AS derived
   WHERE o.id = derived.id AND (o.condition_states, o.review_reasons) IS DISTINCT FROM (derived.states, derived.reasons);
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION refresh_conditions(outlook bigint) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM refresh_conditions(ARRAY[outlook]);
END $$;
--> statement-breakpoint
CREATE FUNCTION announce_condition_changes() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  SELECT CASE state WHEN 'triggered' THEN 'condition.triggered' WHEN 'expired' THEN 'condition.expired'
           ELSE 'condition.cleared' END,
         outlook_id, version,
         jsonb_build_object('key', key, 'invalidates', invalidates, 'cause', cause, 'reason', reason, 'day', day,
           'observations', observations),
         recorded_at
    FROM added ORDER BY id;
  PERFORM refresh_conditions(ARRAY(SELECT DISTINCT outlook_id FROM added));
  RETURN NULL;
END $$;
--> statement-breakpoint
DROP TRIGGER announce_condition_change ON condition_changes;
--> statement-breakpoint
CREATE TRIGGER announce_condition_changes AFTER INSERT ON condition_changes
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION announce_condition_changes();
--> statement-breakpoint
DROP FUNCTION announce_condition_change();
--> statement-breakpoint
CREATE OR REPLACE FUNCTION announce_state() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  SELECT kind, NEW.id, NEW.latest_version, data, clock_timestamp()
    FROM (VALUES
      ('outlook.state.changed', true, jsonb_build_object('status', NEW.status, 'reviewReasons', NEW.review_reasons)),
      ('outlook.review.due', OLD.review_reasons = '{}' AND NEW.review_reasons <> '{}',
       jsonb_build_object('reasons', NEW.review_reasons))
    ) AS event (kind, is_due, data) WHERE is_due;
  RETURN NULL;
END $$;
--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "transaction_id" "xid8";--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "transaction_id" SET DEFAULT pg_current_xact_id();--> statement-breakpoint
CREATE TABLE "event_watermark" (
	"is_only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"transaction_id" "xid8" DEFAULT '0' NOT NULL,
	CONSTRAINT "event_watermark_is_only" CHECK ("event_watermark"."is_only")
);
--> statement-breakpoint
-- The lock that the column took keeps other writers of events away, so these are the last events without a transaction.
DO $$
BEGIN
  WHILE EXISTS (SELECT FROM events WHERE position IS NULL) LOOP
    PERFORM sequence_events();
  END LOOP;
END $$;
--> statement-breakpoint
-- The transaction before which every event has its position. The stored one is behind, so that it is rarely written. One
-- above all running transactions was copied from another server, or is of a time before a restore: it says nothing.
CREATE FUNCTION sequenced_before() RETURNS xid8
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  stored xid8 := (SELECT transaction_id FROM event_watermark);
BEGIN
  RETURN CASE WHEN stored <= pg_snapshot_xmin(pg_current_snapshot()) THEN stored ELSE '0' END;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_new_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.position IS NOT NULL THEN
    PERFORM refuse('events_position', 'positions are given by sequence_events()');
  END IF;
  NEW.transaction_id := pg_current_xact_id();
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_event() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF OLD.position IS NOT NULL OR
     (NEW.id, NEW.kind, NEW.outlook_id, NEW.version, NEW.data, NEW.recorded_at, NEW.transaction_id)
     IS DISTINCT FROM
     (OLD.id, OLD.kind, OLD.outlook_id, OLD.version, OLD.data, OLD.recorded_at, OLD.transaction_id) THEN
    PERFORM refuse('events_append_only', 'UPDATE is refused: an event is given its position once, nothing else');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
-- Without sequential scans: a session that first plans the look while the table is small would go on to read all of it.
CREATE OR REPLACE FUNCTION guard_positions() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  last bigint := (SELECT coalesce(max(position), 0) FROM events) - (SELECT count(*) FROM placed);
  sequenced xid8 := sequenced_before();
BEGIN
  IF last <> 0 AND NOT EXISTS (SELECT FROM events WHERE position = last)
     OR EXISTS (
       SELECT FROM (SELECT position, last + row_number() OVER (ORDER BY id) AS due FROM placed) AS event
        WHERE position IS DISTINCT FROM due)
     OR EXISTS (
       SELECT FROM events AS older JOIN placed ON placed.outlook_id = older.outlook_id
        WHERE older.position IS NULL AND older.transaction_id >= sequenced AND older.id < placed.id) THEN
    PERFORM refuse('events_position', 'positions are given by sequence_events()');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- The watermark moves up as far as no event is passed over, and down only if it says nothing.
CREATE FUNCTION guard_watermark() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  sequenced xid8 := sequenced_before();
BEGIN
  IF NEW.transaction_id < sequenced OR NEW.transaction_id > pg_snapshot_xmin(pg_current_snapshot()) OR EXISTS (
       SELECT FROM events
        WHERE position IS NULL AND transaction_id >= sequenced AND transaction_id < NEW.transaction_id) THEN
    PERFORM refuse('event_watermark_sequenced', 'an event of an older transaction may have no position yet');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_watermark BEFORE INSERT OR UPDATE ON event_watermark
  FOR EACH ROW EXECUTE FUNCTION guard_watermark();
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE DELETE ON event_watermark
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON event_watermark
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
-- A transaction below the snapshot's oldest is over. So once all that the snapshot sees have a position, no event of such a
-- transaction can come later. Ids can't tell that: they are drawn before the commit. The function has the rights of its
-- owner: the service's role has none to change the watermark, as in the release before, which goes on meanwhile.
CREATE OR REPLACE FUNCTION sequence_events() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  at_once CONSTANT integer := 1000;
  -- Transactions between two writes of the watermark; so many dead entries a look may read.
  apart CONSTANT bigint := 100;
  sequenced xid8 := sequenced_before();
  oldest xid8;
  number integer;
BEGIN
  IF EXISTS (SELECT FROM event_watermark WHERE transaction_id > sequenced) THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger events', 0));
    UPDATE event_watermark SET transaction_id = sequenced_before() WHERE transaction_id > sequenced;
  END IF;
  IF EXISTS (SELECT FROM events WHERE position IS NULL AND transaction_id >= sequenced) THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger events', 0));
    WITH pending AS (
      SELECT id, coalesce((SELECT max(position) FROM events), 0) + row_number() OVER (ORDER BY id) AS position
        FROM events WHERE position IS NULL AND transaction_id >= sequenced ORDER BY id LIMIT at_once
    ), placed AS (
      UPDATE events SET position = pending.position FROM pending WHERE events.id = pending.id RETURNING events.id
    )
    SELECT count(*), pg_snapshot_xmin(pg_current_snapshot()) INTO number, oldest FROM placed;
    IF number < at_once AND oldest::text::bigint - sequenced::text::bigint >= apart THEN
      INSERT INTO event_watermark (transaction_id) VALUES (oldest)
      ON CONFLICT (is_only) DO UPDATE SET transaction_id = oldest WHERE event_watermark.transaction_id < oldest;
    END IF;
  END IF;
  RETURN (SELECT max(position) FROM events);
END $$;
