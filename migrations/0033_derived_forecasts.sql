-- Runs with the release of migration 0026 and later.
-- When the outcome became known at the latest. What reopened the outlook after a resolution does not count for it, so that the
-- answer stays what it was when the resolution was recorded.
CREATE OR REPLACE FUNCTION latest_known_at(r resolutions) RETURNS timestamptz
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF decided_by_closes(r) THEN
    RETURN least(r.recorded_at, (r.end_date + 1)::timestamp AT TIME ZONE 'UTC', (
      SELECT min(o.recorded_at) FROM outlooks l JOIN instruments i ON i.id = l.instrument_id
        JOIN series s ON s.id = i.closes_id JOIN observations o ON o.series_id = s.id
       WHERE l.id = r.outlook_id AND period_end(o.date, s.frequency, s.dated) = r.end_date AND o.value = r.end_value
         AND o.date BETWEEN r.end_date - CASE s.dated WHEN 'start' THEN 366 ELSE 0 END AND r.end_date));
  END IF;
  RETURN coalesce((
    SELECT p.known_at FROM resolutions p
     WHERE p.outlook_id = r.outlook_id AND p.number < r.number AND p.known_at IS NOT NULL
       AND p.number > coalesce((SELECT max(n.number) FROM resolutions n
                                 WHERE n.outlook_id = r.outlook_id AND n.reopens AND n.number < r.number), 0)
     ORDER BY p.number DESC LIMIT 1), r.recorded_at);
END $$;
--> statement-breakpoint
-- The forecasts that a resolution scores, apart from what sums them up: `npm run verify` derives them again.
CREATE FUNCTION forecasts_of(outlook outlooks, resolution resolutions) RETURNS TABLE (
  source text, analyst_id uuid, bear_bps bigint, base_bps bigint, bull_bps bigint, from_ms bigint, to_ms bigint, w float8,
  outcome text, bear_off bigint, base_off bigint, bull_off bigint, outcome_bps bigint, attainable float8,
  climatology_brier float8, climatology_logarithmic float8, climatology_ranked_probability float8)
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  opens timestamptz := outlook.horizon_from::timestamp AT TIME ZONE 'UTC';
  -- Milliseconds, as times have no more.
  whole bigint := (outlook.horizon_to - outlook.horizon_from) * 86400000::bigint;
  known timestamptz := least(outlook.horizon_to::timestamp AT TIME ZONE 'UTC', resolution.known_at);
  -- Nobody leaves their own losers out of their skill by an earlier time at which the outcome became known.
  latest timestamptz := least(outlook.horizon_to::timestamp AT TIME ZONE 'UTC',
    greatest(resolution.known_at, latest_known_at(resolution)));
  withdrawn timestamptz := least(known, (
    SELECT v.recorded_at FROM outlook_versions v
     WHERE v.outlook_id = outlook.id AND v.version = outlook.latest_version AND v.kind = 'withdrawn'));
BEGIN
  RETURN QUERY
  WITH numbered AS (
    SELECT v.*, lead(v.recorded_at) OVER next AS ends, lead(v.author_id) OVER next AS next_author,
        lead(v.kind) OVER next AS next_kind
      FROM outlook_versions v WHERE v.outlook_id = outlook.id WINDOW next AS (ORDER BY v.version)
  ), held AS MATERIALIZED (
    SELECT h.*, dense_rank() OVER (ORDER BY low, high) AS band FROM (
      SELECT 'version' AS source, v.author_id AS analyst_id, v.version, v.bear_bps, v.base_bps, v.bull_bps,
          coalesce(b.return_min, resolution.band_low) AS low, coalesce(b.return_max, resolution.band_high) AS high,
          v.recorded_at AS starts, v.ends,
          v.next_kind <> 'withdrawn' AND v.next_author <> v.author_id AS is_replaced
        FROM numbered v JOIN scenarios b ON b.framework_id = v.framework_id AND b.name = 'base'
       WHERE v.kind <> 'withdrawn'
      UNION ALL
      SELECT 'view', w.analyst_id, w.version, w.bear_bps, w.base_bps, w.bull_bps,
          coalesce(b.return_min, resolution.band_low), coalesce(b.return_max, resolution.band_high),
          w.recorded_at, w.ends, false
        FROM (SELECT *, lead(recorded_at) OVER (PARTITION BY analyst_id ORDER BY version) AS ends
                FROM views WHERE outlook_id = outlook.id) AS w
        -- The bands that the outlook had when the view was recorded.
        JOIN scenarios b ON b.name = 'base' AND b.framework_id = coalesce((
          SELECT n.framework_id FROM numbered n WHERE n.recorded_at <= w.recorded_at ORDER BY n.version DESC LIMIT 1),
          (SELECT n.framework_id FROM numbered n WHERE n.version = 1))
       WHERE w.kind = 'held') AS h
  ), turns AS (
    -- The version first: the greatest array of a source is its newest forecast.
    SELECT analyst_id, source, starts AS at, ARRAY[version, extract(epoch FROM starts) * 1000, bear_bps, base_bps,
        bull_bps, band]::bigint[] AS forecast
      FROM held
    UNION ALL
    -- The version of somebody else replaces one.
    SELECT analyst_id, source, ends, ARRAY[version + 1, NULL]::bigint[] FROM held WHERE is_replaced
  ), turned AS (
    SELECT analyst_id, at AS starts, lead(at) OVER so_far AS ends,
        max(forecast) FILTER (WHERE source = 'version') OVER so_far AS version,
        max(forecast) FILTER (WHERE source = 'view') OVER so_far AS view
      FROM turns WINDOW so_far AS (PARTITION BY analyst_id ORDER BY at, source, forecast)
  ), combined AS (
    SELECT analyst_id, starts, ends, CASE WHEN view IS NULL OR version[2] >= view[2] THEN version ELSE view END AS newest
      FROM turned
  ), attributed AS (
    SELECT source, analyst_id, bear_bps, base_bps, bull_bps, band, starts, least(ends, withdrawn) AS ends FROM held
    UNION ALL
    SELECT source, NULL, bear_bps, base_bps, bull_bps, band, starts, least(ends, withdrawn) FROM held
     WHERE source = 'version'
    UNION ALL
    SELECT 'combined', analyst_id, newest[3], newest[4], newest[5], newest[6], starts,
        least(ends, CASE analyst_id WHEN resolution.author_id THEN latest ELSE known END)
      FROM combined
     WHERE newest[2] IS NOT NULL
  ), timed AS MATERIALIZED (
    SELECT a.*, (1000 * extract(epoch FROM greatest(starts, opens) - opens))::bigint AS from_ms,
        (1000 * extract(epoch FROM ends - opens))::bigint AS to_ms
      FROM attributed a WHERE ends > greatest(starts, opens)
  ), bands AS MATERIALIZED (
    SELECT DISTINCT band, low, high FROM held
  ), judged AS MATERIALIZED (
    SELECT bands.band, o.bear, o.base, o.bull, j.outcome,
        (history.bear - o.bear) ^ 2 + (history.base - o.base) ^ 2 + (history.bull - o.bull) ^ 2 AS brier,
        -ln(o.bear * history.bear + o.base * history.base + o.bull * history.bull) AS logarithmic,
        (history.bear - o.bear) ^ 2 + (history.bull - o.bull) ^ 2 AS ranked_probability,
        (seen.bear - o.bear) ^ 2 + (seen.base - o.base) ^ 2 + (seen.bull - o.bull) ^ 2 AS seen_brier
      FROM bands
     CROSS JOIN LATERAL outcome_for(resolution, bands.low, bands.high) AS j (outcome)
     CROSS JOIN LATERAL (SELECT (j.outcome = 'bear')::int AS bear, (j.outcome = 'base')::int AS base,
         (j.outcome = 'bull')::int AS bull) AS o
      -- The history of closes is read once for all bands.
      JOIN climatology(outlook.id, (SELECT array_agg(low ORDER BY band) FROM bands),
          (SELECT array_agg(high ORDER BY band) FROM bands)) AS history ON history.place = bands.band
     -- The shares before they were smoothed: a forecast of what never happened otherwise must not beat history.
     CROSS JOIN LATERAL (SELECT (history.bear * (history.independent + 3) - 1) / nullif(history.independent, 0) AS bear,
         (history.base * (history.independent + 3) - 1) / nullif(history.independent, 0) AS base,
         (history.bull * (history.independent + 3) - 1) / nullif(history.independent, 0) AS bull) AS seen
  )
  SELECT t.source, t.analyst_id, t.bear_bps, t.base_bps, t.bull_bps, t.from_ms, t.to_ms,
      (t.to_ms - t.from_ms)::float8 / whole AS w, j.outcome,
      -- Differences in basis points, so that a score is rounded once.
      t.bear_bps - j.bear * 10000, t.base_bps - j.base * 10000, t.bull_bps - j.bull * 10000,
      t.bear_bps * j.bear + t.base_bps * j.base + t.bull_bps * j.bull,
      (1000 * extract(epoch FROM CASE WHEN t.source = 'combined' AND t.analyst_id = resolution.author_id
        THEN latest ELSE known END - opens) / whole)::float8,
      CASE t.source WHEN 'combined' THEN j.seen_brier ELSE j.brier END, j.logarithmic, j.ranked_probability
    FROM timed t JOIN judged j ON j.band = t.band;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION sum_up_forecasts(outlook outlooks, resolution resolutions) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  -- Milliseconds, as times have no more.
  whole bigint := (outlook.horizon_to - outlook.horizon_from) * 86400000::bigint;
BEGIN
  WITH scored AS MATERIALIZED (
    SELECT * FROM forecasts_of(outlook, resolution)
  ), forecasters AS MATERIALIZED (
    SELECT source, analyst_id, nextval('forecast_sums_id_seq') AS id
      FROM (SELECT DISTINCT source, analyst_id FROM scored) AS distinct_forecasters
  ), forecasts AS MATERIALIZED (
    SELECT f.id, s.* FROM scored s
      JOIN forecasters f ON f.source = s.source AND f.analyst_id IS NOT DISTINCT FROM s.analyst_id
  ), sums AS (
    INSERT INTO forecast_sums (id, outlook_id, number, source, analyst_id, instrument_id, horizon_from, horizon_to,
        by_closes, attainable, bear_share, base_share, bull_share, bear_error, base_error, bull_error,
        logarithmic, ranked_probability,
        climatology_brier, climatology_logarithmic, climatology_ranked_probability)
    SELECT id, outlook.id, resolution.number, source, analyst_id, outlook.instrument_id, outlook.horizon_from,
        outlook.horizon_to,
        coalesce(decided_by_closes(resolution), false),
        min(attainable),
        coalesce(sum(w) FILTER (WHERE outcome = 'bear'), 0), coalesce(sum(w) FILTER (WHERE outcome = 'base'), 0),
        coalesce(sum(w) FILTER (WHERE outcome = 'bull'), 0),
        sum(w * (bear_off * bear_off / 1e8::float8)), sum(w * (base_off * base_off / 1e8::float8)),
        sum(w * (bull_off * bull_off / 1e8::float8)),
        sum(w * CASE outcome_bps WHEN 0 THEN 'Infinity' ELSE -ln(outcome_bps / 10000::float8) END),
        sum(w * ((bear_off * bear_off + bull_off * bull_off) / 1e8::float8)),
        CASE WHEN count(climatology_brier) = count(*) THEN sum(w * climatology_brier) END,
        CASE WHEN count(climatology_brier) = count(*) THEN sum(w * climatology_logarithmic) END,
        CASE WHEN count(climatology_brier) = count(*) THEN sum(w * climatology_ranked_probability) END
      FROM forecasts GROUP BY id, source, analyst_id
  ), buckets AS (
    INSERT INTO forecast_buckets (sums_id, bucket, bear_weight, bear_predicted, bear_realised,
        base_weight, base_predicted, base_realised, bull_weight, bull_predicted, bull_realised)
    SELECT f.id, least(9, p.bps / 1000),
        sum(f.w * p.bear), sum(f.w * p.bear * p.bps / 10000), sum(f.w * p.bear * (f.outcome = 'bear')::int),
        sum(f.w * p.base), sum(f.w * p.base * p.bps / 10000), sum(f.w * p.base * (f.outcome = 'base')::int),
        sum(f.w * p.bull), sum(f.w * p.bull * p.bps / 10000), sum(f.w * p.bull * (f.outcome = 'bull')::int)
      FROM forecasts f CROSS JOIN LATERAL (VALUES (f.bear_bps, 1, 0, 0), (f.base_bps, 0, 1, 0), (f.bull_bps, 0, 0, 1))
        AS p (bps, bear, base, bull)
     WHERE f.source <> 'combined' GROUP BY 1, 2
  )
  INSERT INTO forecast_leads (sums_id, first_tenth, last_tenth, bear_bps, base_bps, bull_bps, outcome, brier,
      climatology_brier)
  SELECT f.id, at.first, at.last, f.bear_bps, f.base_bps, f.bull_bps, f.outcome,
      (f.bear_off * f.bear_off + f.base_off * f.base_off + f.bull_off * f.bull_off) / 1e8::float8,
      f.climatology_brier
    FROM forecasts f CROSS JOIN LATERAL (
      SELECT (f.from_ms * 10 + whole - 1) / whole AS first,
          -- What is current up to the very end of the horizon is current at it.
          CASE f.to_ms WHEN whole THEN 10 ELSE (f.to_ms * 10 + whole - 1) / whole - 1 END AS last) AS at
   WHERE f.source <> 'combined' AND at.first <= at.last;
END $$;
