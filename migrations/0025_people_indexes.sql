-- Runs with the release of migration 0018 and later.
-- Runs outside a transaction.
-- For what continued an outlook at a given time, the feed of all outlooks, and the list of analysts.
DROP INDEX CONCURRENTLY IF EXISTS public."outlooks_continuing";--> statement-breakpoint
CREATE INDEX CONCURRENTLY "outlooks_continuing" ON public."outlooks" USING btree ("continues_id","id") WHERE "outlooks"."continues_id" is not null;--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS public."resolutions_newest";--> statement-breakpoint
CREATE INDEX CONCURRENTLY "resolutions_newest" ON public."resolutions" USING btree ("recorded_at","outlook_id","number");--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS public."analysts_by_name";--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY "analysts_by_name" ON public."analysts" USING btree ("name" collate "C");
