-- Webhooks, and what is delivered to them. From src/db/schema/, but for the triggers at the end.
CREATE TABLE "webhook_attempts" (
	"delivery_id" uuid NOT NULL,
	"number" integer NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"milliseconds" integer,
	"status" integer,
	"fault" text,
	CONSTRAINT "webhook_attempts_delivery_id_number_pk" PRIMARY KEY("delivery_id","number"),
	CONSTRAINT "webhook_attempts_number" CHECK ("webhook_attempts"."number" >= 1),
	CONSTRAINT "webhook_attempts_outcome" CHECK (case when "webhook_attempts"."milliseconds" is null then num_nulls("webhook_attempts"."status", "webhook_attempts"."fault") = 2
        when "webhook_attempts"."fault" is null then coalesce("webhook_attempts"."status" between 200 and 299, false)
        else "webhook_attempts"."status" between 100 and 999 is not false end),
	CONSTRAINT "webhook_attempts_milliseconds" CHECK ("webhook_attempts"."milliseconds" >= 0),
	CONSTRAINT "webhook_attempts_fault" CHECK (length("webhook_attempts"."fault") between 1 and 300)
);
--> statement-breakpoint
CREATE TABLE "webhook_deliveries" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"webhook_id" uuid NOT NULL,
	"position" bigint NOT NULL,
	"outlook_id" bigint NOT NULL,
	"planned_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"due_at" timestamp (3) with time zone,
	"delivered_at" timestamp (3) with time zone,
	CONSTRAINT "webhook_deliveries_once" UNIQUE("webhook_id","position"),
	CONSTRAINT "webhook_deliveries_attempts" CHECK ("webhook_deliveries"."attempts" >= 0),
	CONSTRAINT "webhook_deliveries_delivered_once" CHECK ("webhook_deliveries"."delivered_at" is null or ("webhook_deliveries"."due_at" is null and "webhook_deliveries"."attempts" > 0))
);
--> statement-breakpoint
CREATE TABLE "webhooks" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"url" text NOT NULL,
	"kinds" text[],
	"outlook_id" bigint,
	"description" text,
	"secret" "bytea" NOT NULL,
	"previous_secret" "bytea",
	"previous_secret_until" timestamp (3) with time zone,
	"position" bigint NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"failing_since" timestamp (3) with time zone,
	"disabled_at" timestamp (3) with time zone,
	"disabled_reason" text,
	CONSTRAINT "webhooks_url" CHECK ("webhooks"."url" ~ '^https?://' and length("webhooks"."url") <= 2000),
	CONSTRAINT "webhooks_kinds" CHECK (cardinality("webhooks"."kinds") > 0 and "webhooks"."kinds" <@ array['outlook.created', 'outlook.version.published', 'outlook.state.changed', 'outlook.review.due', 'outlook.resolved', 'evidence.added', 'condition.triggered', 'condition.cleared', 'condition.expired', 'drawdown.label.changed', 'view.published']),
	CONSTRAINT "webhooks_description" CHECK (length("webhooks"."description") between 1 and 300),
	CONSTRAINT "webhooks_secret" CHECK (octet_length("webhooks"."secret") between 24 and 64),
	CONSTRAINT "webhooks_previous_secret" CHECK (num_nulls("webhooks"."previous_secret", "webhooks"."previous_secret_until") in (0, 2) and (octet_length("webhooks"."previous_secret") between 24 and 64) is not false),
	CONSTRAINT "webhooks_from_0" CHECK ("webhooks"."position" >= 0),
	CONSTRAINT "webhooks_disabled" CHECK (num_nulls("webhooks"."disabled_at", "webhooks"."disabled_reason") in (0, 2) and ("webhooks"."disabled_reason" in ('asked', 'gone', 'failing', 'restored')) is not false)
);
--> statement-breakpoint
ALTER TABLE "webhook_attempts" ADD CONSTRAINT "webhook_attempts_delivery_id_webhook_deliveries_id_fk" FOREIGN KEY ("delivery_id") REFERENCES "public"."webhook_deliveries"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_webhook_id_webhooks_id_fk" FOREIGN KEY ("webhook_id") REFERENCES "public"."webhooks"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_position_events_position_fk" FOREIGN KEY ("position") REFERENCES "public"."events"("position") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_outlook_id_outlooks_id_fk" FOREIGN KEY ("outlook_id") REFERENCES "public"."outlooks"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "webhook_deliveries_one_due" ON "webhook_deliveries" USING btree ("webhook_id","outlook_id") WHERE "webhook_deliveries"."due_at" is not null;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_due" ON "webhook_deliveries" USING btree ("webhook_id","due_at") WHERE "webhook_deliveries"."due_at" is not null;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_undelivered" ON "webhook_deliveries" USING btree ("webhook_id","outlook_id","position") WHERE "webhook_deliveries"."delivered_at" is null;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_oldest" ON "webhook_deliveries" USING btree ("delivered_at") WHERE "webhook_deliveries"."delivered_at" is not null;--> statement-breakpoint
CREATE INDEX "webhooks_newest" ON "webhooks" USING btree ("created_at","id");
--> statement-breakpoint

-- No event is passed over, none is sent before an older one of its outlook, and what was delivered stays so.
CREATE FUNCTION guard_webhook_delivery() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.delivered_at IS NULL AND EXISTS (SELECT FROM webhooks WHERE id = OLD.webhook_id) THEN
      PERFORM refuse('webhook_deliveries_undelivered', 'what is not delivered is not forgotten');
    END IF;
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF OLD.delivered_at IS NOT NULL
       OR (NEW.id, NEW.webhook_id, NEW.position, NEW.outlook_id)
          IS DISTINCT FROM (OLD.id, OLD.webhook_id, OLD.position, OLD.outlook_id) THEN
      PERFORM refuse('webhook_deliveries_fixed', 'what was delivered, and what of which event to whom, stays');
    END IF;
  END IF;
  IF (NEW.due_at IS NOT NULL OR NEW.delivered_at IS NOT NULL) AND EXISTS (
       SELECT FROM webhook_deliveries
        WHERE webhook_id = NEW.webhook_id AND outlook_id = NEW.outlook_id
          AND position < NEW.position AND delivered_at IS NULL) THEN
    PERFORM refuse('webhook_deliveries_order', 'an older event of the outlook is not delivered');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_webhook_delivery BEFORE INSERT OR UPDATE OR DELETE ON webhook_deliveries
  FOR EACH ROW EXECUTE FUNCTION guard_webhook_delivery();
--> statement-breakpoint

CREATE FUNCTION guard_webhook_position() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM refuse('webhooks_position', 'events are planned in their order, each once');
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_webhook_position BEFORE UPDATE OF position ON webhooks
  FOR EACH ROW WHEN (NEW.position < OLD.position) EXECUTE FUNCTION guard_webhook_position();
