ALTER TABLE "scenarios" ADD CONSTRAINT "scenarios_central_return" CHECK (("scenarios"."central_return" > '-Infinity' and "scenarios"."central_return" < 'Infinity' and ("scenarios"."central_return" >= "scenarios"."return_min") is not false and ("scenarios"."central_return" < "scenarios"."return_max") is not false) is not false);--> statement-breakpoint
-- As before, but the bear band may start and the bull band may end at a stated bound.
CREATE OR REPLACE FUNCTION seal_framework() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
  bear scenarios;
  base scenarios;
  bull scenarios;
BEGIN
  PERFORM lock_framework(NEW.id);
  -- The names are a key of their own and each is one of three, so a count of three is all of them.
  IF (SELECT count(*) FROM scenarios WHERE framework_id = NEW.id) <> 3 THEN
    PERFORM refuse('frameworks_three_scenarios', 'a framework has exactly bear, base and bull');
  END IF;

  IF EXISTS (
    SELECT FROM (
      SELECT min_depth, lag(min_depth) OVER (ORDER BY position) AS shallower
        FROM drawdown_labels WHERE framework_id = NEW.id AND min_depth IS NOT NULL
    ) AS label WHERE min_depth <= shallower
  ) THEN
    PERFORM refuse('frameworks_drawdown_order', 'drawdown labels go from shallow to deep');
  END IF;

  SELECT * INTO bear FROM scenarios WHERE framework_id = NEW.id AND name = 'bear';
  SELECT * INTO base FROM scenarios WHERE framework_id = NEW.id AND name = 'base';
  SELECT * INTO bull FROM scenarios WHERE framework_id = NEW.id AND name = 'bull';
  IF num_nonnulls(bear.return_min, bear.return_max, base.return_min, base.return_max,
                  bull.return_min, bull.return_max) > 0
     AND (bear.return_max = base.return_min
          AND base.return_min < base.return_max
          AND base.return_max = bull.return_min
          -- NaN, too, is above every number in Postgres.
          AND base.return_min > '-Infinity' AND base.return_max < 'Infinity'
          AND (bear.return_min > '-Infinity' AND bear.return_min < bear.return_max) IS NOT FALSE
          AND (bull.return_max < 'Infinity' AND bull.return_min < bull.return_max) IS NOT FALSE) IS NOT TRUE THEN
    PERFORM refuse('frameworks_return_bands', 'return bands join in the order bear, base, bull, and each ends above its start');
  END IF;
  RETURN NULL;
END $$;
