-- Runs with the release of migration 0026 and later.
-- Apart from 0029, so that no lock that writers wait for lasts as long as the table is large.
ALTER TABLE events VALIDATE CONSTRAINT events_kind;
