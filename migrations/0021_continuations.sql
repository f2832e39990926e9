-- Runs with the release of migration 0018 and later.
-- An outlook may continue an older one on the same instrument over a later horizon.
ALTER TABLE "outlooks" ADD COLUMN "continues_id" bigint;--> statement-breakpoint
ALTER TABLE "outlooks" ADD COLUMN "continued_by" text;--> statement-breakpoint
ALTER TABLE "outlooks" ADD CONSTRAINT "outlooks_continues_id_outlooks_id_fk" FOREIGN KEY ("continues_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "outlooks" ADD CONSTRAINT "outlooks_continues" CHECK ("outlooks"."continues_id" < "outlooks"."id");--> statement-breakpoint
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
  IF NEW.continues_id IS NOT NULL THEN
    SELECT * INTO previous FROM outlooks WHERE id = NEW.continues_id;
    IF NEW.instrument_id <> previous.instrument_id OR NEW.horizon_to <= previous.horizon_to THEN
      PERFORM refuse('outlooks_continuation', 'an outlook is continued on its instrument, over a later horizon');
    END IF;
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.slug, NEW.instrument_id, NEW.horizon_from, NEW.horizon_to, NEW.continues_id)
     IS DISTINCT FROM (OLD.id, OLD.slug, OLD.instrument_id, OLD.horizon_from, OLD.horizon_to, OLD.continues_id) THEN
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
  RETURN NEW;
END $$;
--> statement-breakpoint
-- An event of a kind that the release before knows, so that it drops what it keeps of the outlook, too.
CREATE FUNCTION continue_outlook() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  WITH continued AS (
    UPDATE outlooks SET continued_by = NEW.slug WHERE id = NEW.continues_id
    RETURNING id, latest_version, status, review_reasons
  )
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  SELECT 'outlook.state.changed', id, latest_version,
         jsonb_build_object('status', status, 'reviewReasons', review_reasons, 'continuedBy', NEW.slug),
         NEW.published_at
    FROM continued;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER continue_outlook AFTER INSERT ON outlooks
  FOR EACH ROW WHEN (NEW.continues_id IS NOT NULL) EXECUTE FUNCTION continue_outlook();
