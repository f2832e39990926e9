-- Runs with the release of migration 0026 and later.
-- Runs outside a transaction.
-- For receipts: the event that recorded an item of evidence, a view or a resolution among an outlook's many revisions.
DROP INDEX CONCURRENTLY IF EXISTS public.events_of_records;
--> statement-breakpoint
CREATE INDEX CONCURRENTLY events_of_records ON public.events (outlook_id, kind)
  WHERE kind IN ('evidence.added', 'view.published', 'view.withdrawn', 'outlook.resolved', 'outlook.reopened');
--> statement-breakpoint
-- And the later write that digested rows older than the log.
DROP INDEX CONCURRENTLY IF EXISTS public.row_digests_found;
--> statement-breakpoint
CREATE INDEX CONCURRENTLY row_digests_found ON public.row_digests USING gin (keys) WHERE operation = 'found';
--> statement-breakpoint
-- events_unplaced stands in for it.
DROP INDEX CONCURRENTLY IF EXISTS public.events_pending;
