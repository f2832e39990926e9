-- How names look, who issued keys, and what audit entries are about.
CREATE TABLE "analyst_skeletons" (
	"hash" "bytea" PRIMARY KEY NOT NULL,
	"analyst_id" uuid NOT NULL,
	CONSTRAINT "analyst_skeletons_hash" CHECK (octet_length("analyst_skeletons"."hash") = 32)
);
--> statement-breakpoint
ALTER TABLE "api_keys" ADD COLUMN "issued_by" uuid;--> statement-breakpoint
ALTER TABLE "api_keys" ADD COLUMN "issued_with" text;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "subject" text;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "summary" text;--> statement-breakpoint
ALTER TABLE "analyst_skeletons" ADD CONSTRAINT "analyst_skeletons_analyst_id_analysts_id_fk" FOREIGN KEY ("analyst_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "analyst_skeletons_of_analyst" ON "analyst_skeletons" USING btree ("analyst_id");--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_issued_by_analysts_id_fk" FOREIGN KEY ("issued_by") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_entries_of_subject" ON "audit_entries" USING btree ("subject","id") WHERE "audit_entries"."subject" is not null;--> statement-breakpoint
CREATE INDEX "audit_entries_of_unknown_callers" ON "audit_entries" USING btree ("recorded_at") WHERE "audit_entries"."kind" = 'refusal' and "audit_entries"."credential" is null and "audit_entries"."analyst_id" is null;--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_issuer" CHECK (length("api_keys"."issued_with") between 1 and 1000
        and ("api_keys"."issued_by" is null) = ("api_keys"."issued_with" is null or "api_keys"."issued_with" = 'LOCAL'));--> statement-breakpoint
ALTER TABLE "audit_entries" ADD CONSTRAINT "audit_entries_subject" CHECK (("audit_entries"."subject" is null) = ("audit_entries"."summary" is null) and ("audit_entries"."kind" = 'write' or "audit_entries"."subject" is null)
        and length("audit_entries"."subject") <= 1000 and length("audit_entries"."summary") <= 1000);--> statement-breakpoint
-- A key keeps what it was issued with, and who issued it.
CREATE OR REPLACE FUNCTION guard_api_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.analyst_id, NEW.role, NEW.hash, NEW.hint, NEW.created_at, NEW.expires_at, NEW.issued_by, NEW.issued_with)
     IS DISTINCT FROM (OLD.id, OLD.analyst_id, OLD.role, OLD.hash, OLD.hint, OLD.created_at, OLD.expires_at,
       OLD.issued_by, OLD.issued_with) THEN
    PERFORM refuse('api_keys_fixed', 'a key keeps what it was issued with');
  END IF;
  IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
    PERFORM refuse('api_keys_revocation_final', 'a revoked key stays revoked');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
-- Anyone can cause refusals, so those that name no caller expire: after AUDIT_REFUSALS_DAYS, which is at least 7.
CREATE FUNCTION guard_audit_deletion() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF OLD.kind = 'refusal' AND OLD.credential IS NULL AND OLD.analyst_id IS NULL
     AND OLD.recorded_at < now() - interval '7 days' THEN
    RETURN OLD;
  END IF;
  PERFORM refuse('audit_entries_append_only',
    'DELETE is refused: only refusals of unknown callers are deleted, once they are 7 days old');
  RETURN NULL;
END $$;
--> statement-breakpoint
DROP TRIGGER append_only ON audit_entries;
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE DELETE ON audit_entries
  FOR EACH ROW EXECUTE FUNCTION guard_audit_deletion();
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE DELETE ON analyst_skeletons
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON analyst_skeletons
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
CREATE TRIGGER append_only_update BEFORE UPDATE ON analyst_skeletons
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
