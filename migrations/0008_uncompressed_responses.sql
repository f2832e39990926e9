-- Compressing a stored response takes PostgreSQL longer than the revision that it belongs to, and it is deleted after a day.
ALTER TABLE "idempotency_keys" ALTER COLUMN "body" SET STORAGE EXTERNAL;
