-- Runs with the release of migration 0014 and later.
-- Which releases work with the schema after each migration from this one on, so that a release knows whether it may start
-- after a newer one. A table of its own, because adding a column to drizzle's would wait for every backup.
CREATE TABLE drizzle.release_support (
  migration smallint PRIMARY KEY,
  -- The oldest migration whose release works with the schema.
  runs_with smallint NOT NULL,
  CONSTRAINT release_support_runs_with CHECK (runs_with BETWEEN 14 AND migration)
);
