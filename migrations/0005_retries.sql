-- Answers to writes that were sent with a key. From src/db/schema/, but for the trigger at the end.
CREATE TABLE "idempotency_keys" (
	"analyst_id" uuid NOT NULL,
	"key" text NOT NULL,
	"request_hash" "bytea" NOT NULL,
	"status" integer NOT NULL,
	"headers" json NOT NULL,
	"body" "bytea" NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "idempotency_keys_analyst_id_key_pk" PRIMARY KEY("analyst_id","key"),
	CONSTRAINT "idempotency_keys_key" CHECK (length("idempotency_keys"."key") between 1 and 255),
	CONSTRAINT "idempotency_keys_request_hash" CHECK (octet_length("idempotency_keys"."request_hash") = 32),
	CONSTRAINT "idempotency_keys_status" CHECK ("idempotency_keys"."status" between 200 and 299)
);
--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_analyst_id_analysts_id_fk" FOREIGN KEY ("analyst_id") REFERENCES "public"."analysts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idempotency_keys_oldest" ON "idempotency_keys" USING btree ("recorded_at");
--> statement-breakpoint

-- What was answered stays what it was; old answers go.
CREATE TRIGGER append_only_update BEFORE UPDATE ON idempotency_keys
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
