-- Runs with the release of migration 0018 and later.
ALTER TABLE "evidence" ADD COLUMN "import_key" text;
