-- Runs with the release of migration 0032 and later.
-- A webhook may be of a desk, and then also gets the events of the desk's internal outlooks and of its proposals; and it may write
-- in the form of a chat. Null is no desk, and JSON.
ALTER TABLE webhooks DROP CONSTRAINT webhooks_kinds,
  ADD COLUMN desk_id integer CONSTRAINT webhooks_desk_id_desks_id_fk REFERENCES desks (id),
  ADD COLUMN format text,
  ADD COLUMN log_position bigint,
  ADD CONSTRAINT webhooks_format CHECK (format IN ('slack', 'teams')),
  ADD CONSTRAINT webhooks_log_position CHECK (log_position >= 0 AND (desk_id IS NULL) = (log_position IS NULL)),
  ADD CONSTRAINT webhooks_kinds CHECK (
    cardinality(kinds) > 0 AND kinds <@ ARRAY['outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.horizon.ended', 'outlook.resolved', 'outlook.resolution.contradicted', 'outlook.reopened', 'outlook.disclosed', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published', 'view.withdrawn', 'proposal.approved', 'proposal.commented', 'proposal.discarded', 'proposal.edited', 'proposal.opened', 'proposal.published', 'proposal.returned', 'proposal.submitted']
    AND (desk_id IS NOT NULL OR NOT kinds && ARRAY['proposal.approved', 'proposal.commented', 'proposal.discarded', 'proposal.edited', 'proposal.opened', 'proposal.published', 'proposal.returned', 'proposal.submitted']));
--> statement-breakpoint
-- The events of proposals have no positions, so a delivery names one by its id, and what it is about by the event's subject.
ALTER TABLE webhook_deliveries ALTER COLUMN position DROP NOT NULL, ALTER COLUMN outlook_id DROP NOT NULL,
  ADD COLUMN event_id bigint CONSTRAINT webhook_deliveries_event_id_events_id_fk REFERENCES events (id),
  ADD COLUMN subject text,
  ADD CONSTRAINT webhook_deliveries_event CHECK (
    CASE WHEN event_id IS NULL THEN subject IS NULL AND num_nulls(position, outlook_id) = 0
      ELSE subject IS NOT NULL AND num_nulls(position, outlook_id) = 2 END);
--> statement-breakpoint
CREATE UNIQUE INDEX webhook_deliveries_once_an_event ON webhook_deliveries (webhook_id, event_id) WHERE event_id IS NOT NULL;
--> statement-breakpoint
CREATE UNIQUE INDEX webhook_deliveries_one_due_of_subject ON webhook_deliveries (webhook_id, subject)
  WHERE due_at IS NOT NULL AND subject IS NOT NULL;
--> statement-breakpoint
CREATE INDEX webhook_deliveries_undelivered_of_subject ON webhook_deliveries (webhook_id, subject, event_id)
  WHERE delivered_at IS NULL AND subject IS NOT NULL;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_webhook_delivery() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.delivered_at IS NULL AND EXISTS (SELECT FROM webhooks WHERE id = OLD.webhook_id) THEN
      PERFORM refuse('webhook_deliveries_undelivered', 'what is not delivered is not forgotten');
    END IF;
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF OLD.delivered_at IS NOT NULL
       OR (NEW.id, NEW.webhook_id, NEW.position, NEW.outlook_id, NEW.event_id, NEW.subject)
          IS DISTINCT FROM (OLD.id, OLD.webhook_id, OLD.position, OLD.outlook_id, OLD.event_id, OLD.subject) THEN
      PERFORM refuse('webhook_deliveries_fixed', 'what was delivered, and what of which event to whom, stays');
    END IF;
  ELSIF NEW.event_id IS NULL AND EXISTS (
      SELECT FROM outlooks o JOIN webhooks w ON w.id = NEW.webhook_id
       WHERE o.id = NEW.outlook_id AND o.internal_to IS NOT NULL AND o.internal_to IS DISTINCT FROM w.desk_id) THEN
    RETURN NULL; -- the release before plans the events of all outlooks; a refusal would end its deliveries
  ELSIF NEW.event_id IS NOT NULL THEN
    -- Apart, because the role of the release before may not read desks.
    IF NOT EXISTS (
      SELECT FROM events e JOIN webhooks w ON w.id = NEW.webhook_id JOIN desks d ON d.id = w.desk_id
       WHERE e.id = NEW.event_id AND e.kind LIKE 'proposal.%' AND e.data->>'desk' = d.slug AND e.data->>'subject' = NEW.subject) THEN
      PERFORM refuse('webhook_deliveries_desk', 'a webhook gets events of its own desk''s proposals only');
    END IF;
  END IF;
  IF (NEW.due_at IS NOT NULL OR NEW.delivered_at IS NOT NULL) AND EXISTS (
       SELECT FROM webhook_deliveries
        WHERE webhook_id = NEW.webhook_id AND outlook_id = NEW.outlook_id
          AND position < NEW.position AND delivered_at IS NULL) THEN
    PERFORM refuse('webhook_deliveries_order', 'an older event of the outlook is not delivered');
  END IF;
  IF (NEW.due_at IS NOT NULL OR NEW.delivered_at IS NOT NULL) AND NEW.subject IS NOT NULL AND EXISTS (
       SELECT FROM webhook_deliveries
        WHERE webhook_id = NEW.webhook_id AND subject = NEW.subject
          AND event_id < NEW.event_id AND delivered_at IS NULL) THEN
    PERFORM refuse('webhook_deliveries_order', 'an older event of the proposal is not delivered');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_webhook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM refuse('webhooks_fixed', 'the desk and the format of a webhook never change: another format would show its secret URL');
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_webhook BEFORE UPDATE OF desk_id, format ON webhooks
  FOR EACH ROW WHEN ((NEW.desk_id, NEW.format) IS DISTINCT FROM (OLD.desk_id, OLD.format)) EXECUTE FUNCTION guard_webhook();
--> statement-breakpoint
CREATE OR REPLACE TRIGGER guard_webhook_position BEFORE UPDATE OF position, log_position ON webhooks
  FOR EACH ROW WHEN (NEW.position < OLD.position OR NEW.log_position < OLD.log_position) EXECUTE FUNCTION guard_webhook_position();
--> statement-breakpoint
SELECT digest_table('webhooks', '{secret, previous_secret, previous_secret_until, position, log_position, failing_since, disabled_at,
  disabled_reason}', is_changed => true);
