-- Runs with the release of migration 0018 and later.
-- Runs outside a transaction.
-- For lists of few outlooks among many: by the end of the horizon, the outcome, or an author who withdrew them.
DROP INDEX CONCURRENTLY IF EXISTS public."outlooks_by_horizon_end";--> statement-breakpoint
CREATE INDEX CONCURRENTLY "outlooks_by_horizon_end" ON public."outlooks" USING btree ("horizon_to");--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS public."resolutions_by_outcome";--> statement-breakpoint
CREATE INDEX CONCURRENTLY "resolutions_by_outcome" ON public."resolutions" USING btree ("outcome","outlook_id") WHERE "resolutions"."superseded_at" is null;--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS public."outlook_versions_withdrawn_by";--> statement-breakpoint
CREATE INDEX CONCURRENTLY "outlook_versions_withdrawn_by" ON public."outlook_versions" USING btree ("author_id","outlook_id") WHERE "outlook_versions"."kind" = 'withdrawn';
