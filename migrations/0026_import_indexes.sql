-- Runs with the release of migration 0018 and later.
-- Runs outside a transaction.
-- An import adds an item of news to an outlook once.
DROP INDEX CONCURRENTLY IF EXISTS public.evidence_imported_once;
--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY evidence_imported_once ON public.evidence (outlook_id, import_key) WHERE import_key IS NOT NULL;
--> statement-breakpoint
-- Finds the first item that is the same, also among many.
DROP INDEX CONCURRENTLY IF EXISTS public.evidence_of_source;
--> statement-breakpoint
CREATE INDEX CONCURRENTLY evidence_of_source ON public.evidence (outlook_id, hashtextextended(coalesce(url, headline), 0), number);
