-- Runs with the release of migration 0014 and later.
-- Runs outside a transaction.
-- Leads from the frameworks that a search finds to their outlooks.
DROP INDEX CONCURRENTLY IF EXISTS outlooks_of_framework;
--> statement-breakpoint
CREATE INDEX CONCURRENTLY outlooks_of_framework ON outlooks (framework_id);
