-- The audit trail, and whom the tokens of an identity provider speak of. From src/db/schema/, but for the triggers at
-- the end.
CREATE TABLE "analyst_identities" (
	"issuer" text NOT NULL,
	"subject" text NOT NULL,
	"analyst_id" uuid NOT NULL,
	CONSTRAINT "analyst_identities_issuer_subject_pk" PRIMARY KEY("issuer","subject"),
	CONSTRAINT "analyst_identities_lengths" CHECK (length("analyst_identities"."issuer") between 1 and 500 and length("analyst_identities"."subject") between 1 and 255)
);
--> statement-breakpoint
CREATE TABLE "audit_entries" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "audit_entries_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"recorded_at" timestamp (3) with time zone NOT NULL,
	"kind" text NOT NULL,
	"analyst_id" uuid,
	"role" text,
	"credential" text,
	"method" text NOT NULL,
	"path" text NOT NULL,
	"status" integer NOT NULL,
	"problem" text,
	"detail" text,
	"address" text,
	"request_id" text,
	"times" integer DEFAULT 1 NOT NULL,
	CONSTRAINT "audit_entries_kind" CHECK (case "audit_entries"."kind"
        when 'write' then "audit_entries"."status" between 200 and 299 and num_nulls("audit_entries"."analyst_id", "audit_entries"."address") <> 1
          and "audit_entries"."problem" is null and "audit_entries"."detail" is null and "audit_entries"."times" = 1
        when 'refusal' then "audit_entries"."status" in (401, 403) and "audit_entries"."problem" is not null
          and "audit_entries"."detail" is not null and "audit_entries"."times" >= 1
        else false end),
	CONSTRAINT "audit_entries_role" CHECK ("audit_entries"."role" in ('analyst', 'feed', 'admin')),
	CONSTRAINT "audit_entries_lengths" CHECK (length("audit_entries"."method") <= 20 and length("audit_entries"."path") <= 1000 and length("audit_entries"."detail") <= 1000
        and length("audit_entries"."credential") <= 1000 and length("audit_entries"."address") <= 100 and length("audit_entries"."request_id") <= 100)
);
--> statement-breakpoint
ALTER TABLE "analyst_identities" ADD CONSTRAINT "analyst_identities_analyst_id_analysts_id_fk" FOREIGN KEY ("analyst_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD CONSTRAINT "audit_entries_analyst_id_analysts_id_fk" FOREIGN KEY ("analyst_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "analyst_identities_of_analyst" ON "analyst_identities" USING btree ("analyst_id");--> statement-breakpoint
CREATE INDEX "audit_entries_of_analyst" ON "audit_entries" USING btree ("analyst_id","id");--> statement-breakpoint
CREATE INDEX "audit_entries_refusals" ON "audit_entries" USING btree ("id") WHERE "audit_entries"."kind" = 'refusal';--> statement-breakpoint

DO $$
DECLARE
  ledger_table text;
BEGIN
  FOREACH ledger_table IN ARRAY ARRAY['analyst_identities', 'audit_entries']
  LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE ON %I
      FOR EACH ROW EXECUTE FUNCTION refuse_change()', ledger_table);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', ledger_table);
    EXECUTE format('CREATE TRIGGER append_only_update BEFORE UPDATE ON %I
      FOR EACH ROW EXECUTE FUNCTION refuse_change()', ledger_table);
  END LOOP;
END $$;
