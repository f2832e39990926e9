-- Runs with the release of migration 0033 and later.
-- Apart from 0036, so that no lock that writers wait for lasts as long as the tables are large.
ALTER TABLE outlook_versions VALIDATE CONSTRAINT outlook_versions_proposal_id_proposals_id_fk;
--> statement-breakpoint
ALTER TABLE resolutions VALIDATE CONSTRAINT resolutions_proposal_id_proposals_id_fk;
