-- The day for which an observation stands: its date or, in a series that dates observations by the start of their period,
-- the last day of that period.
-- Its body is bound to what it names when it is created, so that it needs no search_path and can be inlined: queries call
-- it for each close.
CREATE FUNCTION period_end(date date, frequency text, dated text) RETURNS date
  IMMUTABLE PARALLEL SAFE LANGUAGE sql
RETURN CASE WHEN dated = 'end' THEN date ELSE (date + CASE frequency
  WHEN 'daily' THEN interval '1 day' WHEN 'weekly' THEN interval '7 days'
  WHEN 'biweekly' THEN interval '14 days' WHEN 'monthly' THEN interval '1 month'
  WHEN 'quarterly' THEN interval '3 months' WHEN 'semiannual' THEN interval '6 months'
  WHEN 'annual' THEN interval '1 year' END)::date - 1 END;
--> statement-breakpoint
-- The most days for which a close stands (STALE_AFTER_DAYS in src/domain/outcome.ts).
CREATE FUNCTION stale_after(frequency text) RETURNS integer
  IMMUTABLE PARALLEL SAFE LANGUAGE sql
RETURN CASE frequency WHEN 'daily' THEN 10 WHEN 'weekly' THEN 14 WHEN 'biweekly' THEN 28 WHEN 'monthly' THEN 62
  WHEN 'quarterly' THEN 184 WHEN 'semiannual' THEN 366 WHEN 'annual' THEN 731 END;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION supersede_observation() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.superseded_at IS NOT NULL THEN
    PERFORM refuse('observations_newest', 'a vintage comes in as the newest of its day');
  END IF;
  UPDATE observations SET superseded_at = NEW.recorded_at
   WHERE series_id = NEW.series_id AND date = NEW.date AND superseded_at IS NULL;
  IF NOT FOUND AND NEW.value IS NULL THEN
    PERFORM refuse('observations_retraction', 'there is no observation of this day to retract');
  END IF;
  RETURN NEW;
END $$;
