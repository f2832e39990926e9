-- Runs with the release of migration 0026 and later.
-- The order of the transparency log, in which administrative events have places. Readers of events, and the release before,
-- follow `position`, which has no gaps among the events of outlooks. Events of before have the place that it says.
ALTER TABLE events ADD COLUMN log_position bigint;
