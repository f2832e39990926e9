-- Runs with the release of migration 0018 and later.
-- Where series are pulled from, and how pulling goes.
CREATE TABLE "series_sources" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"series_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"provider_id" text,
	"url" text,
	"layout" json,
	"host" text NOT NULL,
	"every_minutes" integer NOT NULL,
	"set_at" timestamp (3) with time zone NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"started_at" timestamp (3) with time zone,
	"failures" integer DEFAULT 0 NOT NULL,
	"last_success_at" timestamp (3) with time zone,
	"last_added" integer,
	"last_revised" integer,
	"last_unchanged" integer,
	"last_error_at" timestamp (3) with time zone,
	"last_error" text,
	"etag" text,
	"last_modified" text,
	CONSTRAINT "series_sources_series_id_unique" UNIQUE("series_id"),
	CONSTRAINT "series_sources_kind" CHECK ("series_sources"."kind" in ('fred', 'ecb', 'stooq', 'url')),
	CONSTRAINT "series_sources_place" CHECK (case when "series_sources"."kind" = 'url' then "series_sources"."provider_id" is null and num_nulls("series_sources"."url", "series_sources"."layout") = 0
        else "series_sources"."provider_id" is not null and num_nulls("series_sources"."url", "series_sources"."layout") = 2 end),
	CONSTRAINT "series_sources_provider_id" CHECK (length("series_sources"."provider_id") between 1 and 300),
	CONSTRAINT "series_sources_url" CHECK ("series_sources"."url" ~ '^https?://' and "series_sources"."url" !~ '^https?://[^/?#]*@' and length("series_sources"."url") <= 2000),
	CONSTRAINT "series_sources_layout" CHECK (json_typeof("series_sources"."layout") = 'object' and length("series_sources"."layout"::text) <= 10000),
	CONSTRAINT "series_sources_host" CHECK (length("series_sources"."host") between 1 and 300),
	CONSTRAINT "series_sources_every_minutes" CHECK ("series_sources"."every_minutes" between 15 and 44640),
	CONSTRAINT "series_sources_attempts" CHECK ("series_sources"."attempts" >= 0 and "series_sources"."failures" >= 0),
	CONSTRAINT "series_sources_success" CHECK (num_nulls("series_sources"."last_success_at", "series_sources"."last_added", "series_sources"."last_revised", "series_sources"."last_unchanged") in (0, 4)
        and (least("series_sources"."last_added", "series_sources"."last_revised", "series_sources"."last_unchanged") >= 0) is not false),
	CONSTRAINT "series_sources_error" CHECK (num_nulls("series_sources"."last_error_at", "series_sources"."last_error") in (0, 2) and (length("series_sources"."last_error") between 1 and 300) is not false
        and ("series_sources"."failures" = 0 or "series_sources"."last_error" is not null)),
	CONSTRAINT "series_sources_validators" CHECK ((length("series_sources"."etag") <= 300) is not false and (length("series_sources"."last_modified") <= 300) is not false)
);
--> statement-breakpoint
ALTER TABLE "series_sources" ADD CONSTRAINT "series_sources_series_id_series_id_fk" FOREIGN KEY ("series_id") REFERENCES "public"."series"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "series_sources_due" ON "series_sources" USING btree ("host","due_at","id");--> statement-breakpoint
-- What is pulled is fixed, so that a pull that began before a change can't pass for one of what is there now.
CREATE FUNCTION guard_series_source() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    -- One at a time, or two could each count the last free place.
    PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger sources', 0));
    IF (SELECT count(*) FROM series_sources) >= 1000 THEN
      PERFORM refuse('series_sources_most', 'at most 1000 series have a source');
    END IF;
    RETURN NEW;
  END IF;
  IF (NEW.id, NEW.series_id, NEW.kind, NEW.provider_id, NEW.url, NEW.layout::text, NEW.host, NEW.set_at)
     IS DISTINCT FROM (OLD.id, OLD.series_id, OLD.kind, OLD.provider_id, OLD.url, OLD.layout::text, OLD.host, OLD.set_at) THEN
    PERFORM refuse('series_sources_fixed', 'a source that leads elsewhere is a new one');
  END IF;
  IF NEW.attempts < OLD.attempts THEN
    PERFORM refuse('series_sources_attempts_forward', 'pulls are counted upwards');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_series_source BEFORE INSERT OR UPDATE ON series_sources
  FOR EACH ROW EXECUTE FUNCTION guard_series_source();
