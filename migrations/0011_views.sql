-- A view is held or withdrawn, and only while the horizon runs.
CREATE OR REPLACE FUNCTION append_view() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  outlook outlooks;
  newest views;
BEGIN
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id FOR NO KEY UPDATE;
  IF outlook.status <> 'open' THEN
    PERFORM refuse('views_open', 'an outlook that is ' || outlook.status || ' takes no view');
  END IF;
  SELECT * INTO newest FROM views
   WHERE outlook_id = NEW.outlook_id AND analyst_id = NEW.analyst_id ORDER BY version DESC LIMIT 1;
  IF NEW.version <> coalesce(newest.version, 0) + 1 THEN
    PERFORM refuse('views_gapless', 'version ' || NEW.version || ' is not the next one');
  END IF;
  NEW.recorded_at := greatest(NEW.recorded_at, newest.recorded_at);
  IF NEW.recorded_at >= outlook.horizon_to::timestamp AT TIME ZONE 'UTC' THEN
    PERFORM refuse('views_horizon', 'the horizon ended before ' || outlook.horizon_to);
  END IF;
  IF NEW.kind = 'withdrawn' AND (newest.kind <> 'held' OR (NEW.bear_bps, NEW.base_bps, NEW.bull_bps)
       IS DISTINCT FROM (newest.bear_bps, newest.base_bps, newest.bull_bps)) THEN
    PERFORM refuse('views_withdrawn', 'a withdrawal follows a held view and repeats its probabilities');
  END IF;
  IF (NEW.kind, newest.kind) = ('held', 'held')
     AND (NEW.bear_bps, NEW.base_bps, NEW.bull_bps, NEW.rationale)
       = (newest.bear_bps, newest.base_bps, newest.bull_bps, newest.rationale) THEN
    PERFORM refuse('views_change', 'the view equals the one before');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION announce_view() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.version = 1 THEN
    PERFORM note_forecaster(NEW.outlook_id, 'view', NEW.analyst_id, NEW.recorded_at);
  END IF;
  INSERT INTO events (kind, outlook_id, version, data, recorded_at)
  SELECT CASE NEW.kind WHEN 'held' THEN 'view.published' ELSE 'view.withdrawn' END, o.id, o.latest_version,
         jsonb_build_object('analyst', jsonb_build_object('id', a.id, 'name', a.name), 'version', NEW.version)
           || CASE NEW.kind WHEN 'held' THEN jsonb_build_object('probabilities',
                jsonb_build_object('bear', NEW.bear_bps, 'base', NEW.base_bps, 'bull', NEW.bull_bps)) ELSE '{}' END,
         NEW.recorded_at
    FROM outlooks o, analysts a WHERE o.id = NEW.outlook_id AND a.id = NEW.analyst_id;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION guard_version_view() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM outlook_versions v
     WHERE v.outlook_id = NEW.outlook_id AND v.version = NEW.version
       AND v.consensus_method IS NOT NULL AND v.transaction_id = pg_current_xact_id()) THEN
    PERFORM refuse('version_views_consensus', 'views are recorded with the consensus that they make');
  END IF;
  IF EXISTS (
    SELECT FROM views w
     WHERE w.outlook_id = NEW.outlook_id AND w.analyst_id = NEW.analyst_id AND w.version = NEW.view_version
       AND w.kind = 'withdrawn') THEN
    PERFORM refuse('version_views_held', 'a consensus pools no withdrawn view');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION require_answering_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  answered condition_changes;
  answering outlook_versions;
  previous outlook_versions;
BEGIN
  SELECT * INTO answered FROM condition_changes WHERE id = NEW.change_id;
  SELECT * INTO answering FROM outlook_versions
   WHERE outlook_id = NEW.outlook_id AND version = NEW.version;
  SELECT * INTO previous FROM outlook_versions
   WHERE outlook_id = NEW.outlook_id AND version = NEW.version - 1;
  IF NEW.version <> answered.version + 1 THEN
    PERFORM refuse('condition_answers_next_version', 'the next version answers, no other');
  END IF;
  IF NEW.way = 'weight' AND (CASE answered.invalidates
       WHEN 'bear' THEN answering.bear_bps < previous.bear_bps
       WHEN 'base' THEN answering.base_bps < previous.base_bps
       ELSE answering.bull_bps < previous.bull_bps END) IS NOT TRUE THEN
    PERFORM refuse('condition_answers_weight', 'the scenario lost no weight');
  END IF;
  IF NEW.way = 'reaffirmed' AND answering.kind IS DISTINCT FROM 'reaffirmed' THEN
    PERFORM refuse('condition_answers_reaffirmed', 'only a version that reaffirms answers by reaffirming');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- What history alone says about an outlook: the share of past returns in each band, over spans as long as the horizon; for
-- each of some base bands [low, high), by their places.
-- The closes are those dated in the 50 years before the horizon, as known when it started; as known at as_of, if that is
-- earlier. A span starts at a close and ends, as a horizon does, at the last close within its length. One is left out if
-- its length was not over at the last close, if its last close is stale, or
-- if it starts at a close that is not positive.
-- spans counts all of them; they overlap. independent is the most of them of which no two overlap. first is the date of
-- the first span's start, last that of the last close. The shares are smoothed by Laplace's rule of succession at the
-- number of independent spans, so that none is 0; they are null with fewer than five. All are null for a band that is null.
CREATE FUNCTION climatology(outlook bigint, lows float8[], highs float8[], as_of timestamptz DEFAULT NULL)
RETURNS TABLE (place bigint, bear float8, base float8, bull float8, spans integer, independent integer,
  first date, last date)
STABLE LANGUAGE plpgsql SET extra_float_digits = 1 SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  opens date;
  length integer;
  stale integer;
  closes bigint;
  frequency text;
  dating text;
  known_before timestamptz;
  -- A record keeps its arrays as they are; a variable of an array type is copied for each band.
  past record;
  chained integer := 0;
  start date;
  free date := '-infinity';
BEGIN
  SELECT o.horizon_from, o.horizon_to - o.horizon_from, s.id, s.frequency, s.dated,
         stale_after(s.frequency),
         -- Times are whole milliseconds.
         least(o.horizon_from::timestamp AT TIME ZONE 'UTC', as_of + interval '1 millisecond')
    INTO opens, length, closes, frequency, dating, stale, known_before
    FROM outlooks o JOIN instruments i ON i.id = o.instrument_id LEFT JOIN series s ON s.id = i.closes_id
   WHERE o.id = outlook;
  WITH known AS (
    SELECT period_end(o.date, frequency, dating) AS date, o.value::text::numeric AS value FROM observations o
     WHERE o.series_id = closes AND o.date < opens AND o.date >= (opens - interval '50 years')::date
       AND period_end(o.date, frequency, dating) < opens
       AND o.recorded_at < known_before AND (o.superseded_at IS NULL OR o.superseded_at >= known_before)
       AND o.value IS NOT NULL AND array_remove(lows, NULL) <> '{}'
  ), spanned AS (
    SELECT k.date, k.value, last_value(k.date) OVER ends AS end_date, last_value(k.value) OVER ends AS end_value,
        max(k.date) OVER () AS newest
      FROM known k
    WINDOW ends AS (ORDER BY k.date - DATE '2000-01-01' RANGE BETWEEN CURRENT ROW AND length FOLLOWING)
  )
  -- The ratios end / start with their signs turned, so that width_bucket counts those at or above an edge. A ratio below an
  -- edge never rounds to it, unless the digits of the start and the decimals of closes and edge number more than 60.
  SELECT count(*)::integer AS spans, coalesce(array_agg(s.ratio ORDER BY s.ratio), '{}') AS ratios,
         array_agg(s.date ORDER BY s.date) AS starts, min(s.date) AS first, max(s.newest) AS last
    INTO past
    FROM (SELECT date, newest, -round(round(end_value, 60) / value, 60) AS ratio FROM spanned
           WHERE value > 0 AND date + length <= newest AND end_date > date
             AND date + length + 1 - end_date <= stale) AS s;
  FOREACH start IN ARRAY coalesce(past.starts, '{}') LOOP
    IF start >= free THEN
      chained := chained + 1;
      free := start + length;
    END IF;
  END LOOP;
  RETURN QUERY
  SELECT b.place, (chained * bears + c.spans)::float8 / whole, (chained * bases + c.spans)::float8 / whole,
         (chained * bulls + c.spans)::float8 / whole, c.spans, c.independent, c.first, c.last
    FROM unnest(lows, highs) WITH ORDINALITY AS b (low, high, place)
    LEFT JOIN LATERAL (
      SELECT past.spans, chained AS independent, past.first, past.last WHERE b.low IS NOT NULL AND b.high IS NOT NULL
    ) AS c ON true
    LEFT JOIN LATERAL (
      SELECT past.spans * (chained + 3)::bigint AS whole, past.spans - at_low AS bears, at_low - at_high AS bases,
          at_high AS bulls
        FROM (SELECT width_bucket(-1 - b.low::text::numeric, past.ratios) AS at_low,
                     width_bucket(-1 - b.high::text::numeric, past.ratios) AS at_high) AS edges
       WHERE chained >= 5) AS counts ON true;
END $$;
