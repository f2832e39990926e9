-- Runs with the release of migration 0032 and later.
-- Runs outside a transaction.
DROP INDEX CONCURRENTLY IF EXISTS public.outlooks_newest_of_desk;--> statement-breakpoint
CREATE INDEX CONCURRENTLY outlooks_newest_of_desk ON public.outlooks (COALESCE(desk_id, 1), published_at, id);
