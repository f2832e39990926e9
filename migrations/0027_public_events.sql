-- Runs with the release of migration 0026 and later.
-- Runs outside a transaction.
-- For the last event that readers follow, once there are others between.
DROP INDEX CONCURRENTLY IF EXISTS public.events_public;
--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY events_public ON public.events (position) WHERE outlook_id IS NOT NULL;
