-- Runs with the release of migration 0014 and later.
-- Runs outside a transaction.
-- A run that was interrupted leaves an invalid index, so each is dropped before it is built.
DROP INDEX CONCURRENTLY IF EXISTS "events_pending";--> statement-breakpoint
CREATE INDEX CONCURRENTLY "events_pending" ON "events" USING btree ("transaction_id","id") WHERE "events"."position" is null;--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS "events_without_position";--> statement-breakpoint
-- Without the entries of events that have no position yet.
DROP INDEX CONCURRENTLY IF EXISTS "events_placed_of_outlook";--> statement-breakpoint
CREATE INDEX CONCURRENTLY "events_placed_of_outlook" ON "events" USING btree ("outlook_id","position") WHERE "events"."position" is not null;--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS "events_of_outlook";--> statement-breakpoint
-- For lists in an order that no library of the operating system decides.
DROP INDEX CONCURRENTLY IF EXISTS "outlooks_by_slug";--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY "outlooks_by_slug" ON "outlooks" USING btree ("slug" collate "C");--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS "series_by_key";--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY "series_by_key" ON "series" USING btree ("key" collate "C");--> statement-breakpoint
DROP INDEX CONCURRENTLY IF EXISTS "instruments_by_symbol";--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY "instruments_by_symbol" ON "instruments" USING btree ("symbol" collate "C");
