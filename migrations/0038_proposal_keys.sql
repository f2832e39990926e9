-- Runs with the release of migration 0032 and later.
-- Apart from 0036, so that no lock that writers wait for lasts as long as the tables are large.
ALTER TABLE outlook_versions VALIDATE CONSTRAINT outlook_versions_proposal_id_proposals_id_fk;
--> statement-breakpoint
ALTER TABLE resolutions VALIDATE CONSTRAINT resolutions_proposal_id_proposals_id_fk;
--> statement-breakpoint
-- The same for what 0035 changed.
ALTER TABLE events VALIDATE CONSTRAINT events_kind;
--> statement-breakpoint
ALTER TABLE webhooks VALIDATE CONSTRAINT webhooks_kinds;
--> statement-breakpoint
ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_desks;
