-- Runs with the release of migration 0032 and later.
-- Runs outside a transaction.
-- For what a proposal published, which is one thing at most.
DROP INDEX CONCURRENTLY IF EXISTS public.outlook_versions_of_proposal;
--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY outlook_versions_of_proposal ON public.outlook_versions (proposal_id) WHERE proposal_id IS NOT NULL;
--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS public.resolutions_of_proposal;
--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY resolutions_of_proposal ON public.resolutions (proposal_id) WHERE proposal_id IS NOT NULL;
