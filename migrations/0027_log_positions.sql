-- Runs with the release of migration 0026 and later.
-- The order of the transparency log, in which administrative events have places, too. Readers of events, and the previous
-- release, follow `position`, which has no gaps among the events of outlooks. Older events have their position as their place.
ALTER TABLE events ADD COLUMN log_position bigint;
