-- Runs with the release of migration 0033 and later.
-- Apart from 0035, so that no lock that writers wait for lasts as long as the tables are large.
ALTER TABLE events VALIDATE CONSTRAINT events_kind;
--> statement-breakpoint
ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_desks;
