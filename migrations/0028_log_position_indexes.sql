-- Runs with the release of migration 0026 and later.
-- Runs outside a transaction.
DROP INDEX CONCURRENTLY IF EXISTS public.events_in_log;
--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY events_in_log ON public.events (coalesce(log_position, position))
  WHERE coalesce(log_position, position) IS NOT NULL;
--> statement-breakpoint
-- For sequence_events(): administrative events stay without a position.
DROP INDEX CONCURRENTLY IF EXISTS public.events_unplaced;
--> statement-breakpoint
CREATE INDEX CONCURRENTLY events_unplaced ON public.events (transaction_id, id) WHERE position IS NULL AND log_position IS NULL;
