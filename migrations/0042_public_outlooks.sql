-- Runs with the release of migration 0032 and later.
-- Runs outside a transaction.
-- For lists of the public outlooks among many internal ones, and for the records that leave internal ones out.
DROP INDEX CONCURRENTLY IF EXISTS public.outlooks_newest_public;
--> statement-breakpoint
CREATE INDEX CONCURRENTLY outlooks_newest_public ON public.outlooks (published_at, id) WHERE internal_to IS NULL;
--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS public.outlooks_internal;
--> statement-breakpoint
CREATE INDEX CONCURRENTLY outlooks_internal ON public.outlooks (id) WHERE is_internal;
