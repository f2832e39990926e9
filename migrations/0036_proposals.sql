-- Runs with the release of migration 0032 and later.
-- A proposal is a request that has not been carried out yet. Its drafts and steps are append-only, and triggers keep its state.
-- A desk's policy says what it publishes only with approval. Postgres refuses a version or a resolution without it when the
-- transaction commits, so that a request can be tried and rolled back before it is approved.
CREATE TABLE desk_policies (
  desk_id integer NOT NULL CONSTRAINT desk_policies_desk_id_desks_id_fk REFERENCES desks (id),
  version integer NOT NULL,
  outlook smallint NOT NULL,
  revision smallint NOT NULL,
  framework smallint NOT NULL,
  resolution smallint NOT NULL,
  withdrawal smallint NOT NULL,
  consensus smallint NOT NULL,
  author_may_resolve boolean NOT NULL,
  author_id uuid CONSTRAINT desk_policies_author_id_analysts_id_fk REFERENCES analysts (id),
  recorded_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT desk_policies_desk_id_version_pk PRIMARY KEY (desk_id, version),
  CONSTRAINT desk_policies_from_1 CHECK (version >= 1),
  CONSTRAINT desk_policies_approvals CHECK (
    outlook BETWEEN 0 AND 5 AND revision BETWEEN 0 AND 5 AND framework BETWEEN 0 AND 5 AND resolution BETWEEN 0 AND 5
    AND withdrawal BETWEEN 0 AND 5 AND consensus BETWEEN 0 AND 5),
  CONSTRAINT desk_policies_recorded_at CHECK (isfinite(recorded_at))
);
--> statement-breakpoint
CREATE TABLE proposals (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  desk_id integer NOT NULL CONSTRAINT proposals_desk_id_desks_id_fk REFERENCES desks (id),
  kind text NOT NULL,
  outlook_id bigint CONSTRAINT proposals_outlook_id_outlooks_id_fk REFERENCES outlooks (id),
  author_id uuid NOT NULL CONSTRAINT proposals_author_id_analysts_id_fk REFERENCES analysts (id),
  created_at timestamp(3) with time zone NOT NULL,
  state text NOT NULL DEFAULT 'draft',
  draft integer NOT NULL DEFAULT 0,
  step integer NOT NULL DEFAULT 0,
  base_version integer,
  publish_at timestamp(3) with time zone,
  changed_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT proposals_kind CHECK (kind IN ('outlook', 'revision', 'framework', 'resolution', 'withdrawal', 'consensus')),
  CONSTRAINT proposals_state CHECK (state IN ('draft', 'submitted', 'approved', 'returned', 'published', 'discarded')),
  CONSTRAINT proposals_outlook CHECK ((kind = 'outlook') = (outlook_id IS NULL)),
  CONSTRAINT proposals_times CHECK (isfinite(created_at) AND isfinite(changed_at) AND isfinite(publish_at) IS NOT FALSE)
);
--> statement-breakpoint
CREATE INDEX proposals_newest ON proposals (created_at, id);
--> statement-breakpoint
CREATE INDEX proposals_of_outlook ON proposals (outlook_id, created_at, id) WHERE outlook_id IS NOT NULL;
--> statement-breakpoint
CREATE INDEX proposals_unsettled ON proposals (desk_id, state) WHERE state NOT IN ('published', 'discarded');
--> statement-breakpoint
CREATE INDEX proposals_unsettled_of_author ON proposals (author_id, state) WHERE state NOT IN ('published', 'discarded');
--> statement-breakpoint
CREATE INDEX proposals_due ON proposals (publish_at) WHERE state = 'approved';
--> statement-breakpoint
CREATE TABLE proposal_drafts (
  proposal_id uuid NOT NULL CONSTRAINT proposal_drafts_proposal_id_proposals_id_fk REFERENCES proposals (id),
  number integer NOT NULL,
  body json NOT NULL,
  note text,
  publish_at timestamp(3) with time zone,
  title text,
  warnings json NOT NULL DEFAULT '[]',
  recorded_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT proposal_drafts_proposal_id_number_pk PRIMARY KEY (proposal_id, number),
  CONSTRAINT proposal_drafts_number CHECK (number BETWEEN 1 AND 100),
  CONSTRAINT proposal_drafts_body CHECK (json_typeof(body) = 'object' AND octet_length(body::text) <= 1200000),
  CONSTRAINT proposal_drafts_note CHECK (note ~ '[^ \t\r\n]' AND length(note) <= 20000),
  CONSTRAINT proposal_drafts_times CHECK (isfinite(recorded_at) AND isfinite(publish_at) IS NOT FALSE)
);
--> statement-breakpoint
CREATE TABLE proposal_steps (
  proposal_id uuid NOT NULL CONSTRAINT proposal_steps_proposal_id_proposals_id_fk REFERENCES proposals (id),
  number integer NOT NULL,
  kind text NOT NULL,
  draft integer NOT NULL,
  analyst_id uuid CONSTRAINT proposal_steps_analyst_id_analysts_id_fk REFERENCES analysts (id),
  text text,
  base_version integer,
  preview json,
  version integer,
  recorded_at timestamp(3) with time zone NOT NULL,
  CONSTRAINT proposal_steps_proposal_id_number_pk PRIMARY KEY (proposal_id, number),
  CONSTRAINT proposal_steps_proposal_drafts FOREIGN KEY (proposal_id, draft) REFERENCES proposal_drafts (proposal_id, number),
  CONSTRAINT proposal_steps_number CHECK (number BETWEEN 1 AND 1000),
  CONSTRAINT proposal_steps_kind CHECK (kind IN ('submitted', 'approved', 'returned', 'commented', 'published', 'discarded')),
  CONSTRAINT proposal_steps_analyst CHECK (
    CASE kind WHEN 'published' THEN analyst_id IS NULL WHEN 'returned' THEN true ELSE analyst_id IS NOT NULL END),
  CONSTRAINT proposal_steps_text CHECK (text ~ '[^ \t\r\n]' AND length(text) <= 20000),
  CONSTRAINT proposal_steps_words CHECK (kind NOT IN ('returned', 'commented') OR text IS NOT NULL),
  CONSTRAINT proposal_steps_base CHECK (kind = 'submitted' OR num_nonnulls(base_version, preview) = 0),
  CONSTRAINT proposal_steps_version CHECK ((kind = 'published') = (version IS NOT NULL)),
  CONSTRAINT proposal_steps_recorded_at CHECK (isfinite(recorded_at))
);
--> statement-breakpoint
ALTER TABLE outlook_versions ADD COLUMN proposal_id uuid,
  ADD CONSTRAINT outlook_versions_proposal_id_proposals_id_fk FOREIGN KEY (proposal_id) REFERENCES proposals (id) NOT VALID;
--> statement-breakpoint
ALTER TABLE resolutions ADD COLUMN proposal_id uuid,
  ADD CONSTRAINT resolutions_proposal_id_proposals_id_fk FOREIGN KEY (proposal_id) REFERENCES proposals (id) NOT VALID;
--> statement-breakpoint
CREATE FUNCTION policy_of(desk integer) RETURNS desk_policies
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  policy desk_policies;
BEGIN
  SELECT * INTO policy FROM desk_policies p WHERE p.desk_id = desk ORDER BY p.version DESC LIMIT 1;
  RETURN policy;
END $$;
--> statement-breakpoint
-- Who approved a proposal since it was submitted last, in that order.
CREATE FUNCTION approvers_of(proposal uuid) RETURNS uuid[]
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
  RETURN ARRAY(
    SELECT s.analyst_id FROM proposal_steps s
     WHERE s.proposal_id = proposal AND s.kind = 'approved' AND s.number > (
       SELECT max(b.number) FROM proposal_steps b WHERE b.proposal_id = proposal AND b.kind IN ('submitted', 'returned'))
     ORDER BY s.number);
END $$;
--> statement-breakpoint
-- How many approvals a desk's policy asks of a proposal; 0 without a policy. A new framework that also revises the probabilities,
-- or answers conditions, needs those of a revision as well.
CREATE FUNCTION approvals_needed(proposal proposals) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  policy desk_policies := policy_of(proposal.desk_id);
  draft json;
BEGIN
  IF proposal.kind = 'framework' AND policy.revision > policy.framework THEN
    draft := (SELECT body FROM proposal_drafts d WHERE d.proposal_id = proposal.id AND d.number = proposal.draft);
    IF draft->'probabilities' IS NOT NULL OR draft->'acknowledges' IS NOT NULL THEN
      RETURN policy.revision;
    END IF;
  END IF;
  RETURN coalesce(CASE proposal.kind
    WHEN 'outlook' THEN policy.outlook WHEN 'revision' THEN policy.revision WHEN 'framework' THEN policy.framework
    WHEN 'resolution' THEN policy.resolution WHEN 'withdrawal' THEN policy.withdrawal ELSE policy.consensus END, 0);
END $$;
--> statement-breakpoint
-- Whether an analyst may act for a desk: with a key of it, or with tokens of an identity provider, whose desks only it knows.
CREATE FUNCTION acts_for(analyst uuid, desk integer, at timestamptz, counts_identities boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM api_keys k
     WHERE k.analyst_id = analyst AND k.role IN ('analyst', 'admin') AND (k.desk_ids IS NULL OR desk = ANY (k.desk_ids))
       AND (k.revoked_at IS NULL OR k.revoked_at > at) AND (k.expires_at IS NULL OR k.expires_at > at))
    OR counts_identities AND EXISTS (SELECT FROM analyst_identities i WHERE i.analyst_id = analyst);
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_policy() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  newest desk_policies;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger policy ' || NEW.desk_id, 0));
  newest := policy_of(NEW.desk_id);
  IF NEW.version <> coalesce(newest.version, 0) + 1 THEN
    PERFORM refuse('desk_policies_gapless', 'version ' || NEW.version || ' is not the next one');
  END IF;
  NEW.recorded_at := greatest(NEW.recorded_at, newest.recorded_at);
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_new_proposal() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NEW.state <> 'draft' OR NEW.draft <> 0 OR NEW.step <> 0 OR num_nonnulls(NEW.base_version, NEW.publish_at) > 0 THEN
    PERFORM refuse('proposals_state', 'a proposal starts before its first draft');
  END IF;
  IF NEW.outlook_id IS NOT NULL AND NEW.desk_id <> (SELECT coalesce(desk_id, 1) FROM outlooks WHERE id = NEW.outlook_id) THEN
    PERFORM refuse('proposals_desk', 'a proposal belongs to the desk of its outlook');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION guard_proposal() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF pg_trigger_depth() = 1 OR (NEW.id, NEW.desk_id, NEW.kind, NEW.outlook_id, NEW.author_id, NEW.created_at)
     IS DISTINCT FROM (OLD.id, OLD.desk_id, OLD.kind, OLD.outlook_id, OLD.author_id, OLD.created_at) THEN
    PERFORM refuse('proposals_state', 'UPDATE is refused: only drafts and steps move a proposal');
  END IF;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION require_first_draft() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM proposal_drafts WHERE proposal_id = NEW.id AND number = 1) THEN
    PERFORM refuse('proposals_first_draft', 'a proposal is committed together with its first draft');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION append_draft() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  proposal proposals;
BEGIN
  SELECT * INTO proposal FROM proposals WHERE id = NEW.proposal_id FOR NO KEY UPDATE;
  IF proposal.state IN ('published', 'discarded') THEN
    PERFORM refuse('proposal_drafts_settled', 'a proposal that is ' || proposal.state || ' takes no draft');
  END IF;
  IF NEW.number <> proposal.draft + 1 THEN
    PERFORM refuse('proposal_drafts_gapless', 'draft ' || NEW.number || ' is not the next one');
  END IF;
  NEW.recorded_at := greatest(NEW.recorded_at, proposal.changed_at);
  -- Kept, because lists would take long to find titles in bodies of a megabyte.
  NEW.title := CASE WHEN proposal.outlook_id IS NULL THEN left(coalesce(nullif(btrim(regexp_replace(
    left(coalesce(NEW.body->>'title', NEW.body->>'slug', ''), 10000), '[[:cntrl:]\s]+', ' ', 'g')), ''), 'A new outlook'), 300) END;
  UPDATE proposals
     SET draft = NEW.number, state = 'draft', base_version = NULL, publish_at = NEW.publish_at, changed_at = NEW.recorded_at
   WHERE id = NEW.proposal_id;
  RETURN NEW;
END $$;
--> statement-breakpoint
CREATE FUNCTION append_step() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  proposal proposals;
  approvers uuid[];
  follows text[] := CASE NEW.kind WHEN 'submitted' THEN '{draft,returned}' WHEN 'approved' THEN '{submitted,approved}'
    WHEN 'returned' THEN '{submitted,approved}' WHEN 'published' THEN '{approved}' END;
BEGIN
  SELECT * INTO proposal FROM proposals WHERE id = NEW.proposal_id FOR NO KEY UPDATE;
  IF proposal.state IN ('published', 'discarded') THEN
    PERFORM refuse('proposal_steps_settled', 'a proposal that is ' || proposal.state || ' takes no step');
  END IF;
  IF NEW.number <> proposal.step + 1 THEN
    PERFORM refuse('proposal_steps_gapless', 'step ' || NEW.number || ' is not the next one');
  END IF;
  IF NEW.draft <> proposal.draft THEN
    PERFORM refuse('proposal_steps_draft', 'draft ' || NEW.draft || ' is not the newest one');
  END IF;
  IF proposal.state <> ALL (follows) THEN
    PERFORM refuse('proposal_steps_order', 'a proposal that is ' || proposal.state || ' can''t be ' || NEW.kind);
  END IF;
  IF NEW.kind IN ('submitted', 'discarded') AND NEW.analyst_id <> proposal.author_id THEN
    PERFORM refuse('proposal_steps_author', 'a proposal can be ' || NEW.kind || ' only by its author');
  END IF;
  IF NEW.kind IN ('approved', 'returned') AND NEW.analyst_id = proposal.author_id THEN
    PERFORM refuse('proposal_steps_own', 'a proposal can''t be ' || NEW.kind || ' by its author');
  END IF;
  NEW.recorded_at := greatest(NEW.recorded_at, proposal.changed_at);
  IF NEW.kind = 'approved' THEN
    approvers := approvers_of(proposal.id);
    IF NEW.analyst_id = ANY (approvers) THEN
      PERFORM refuse('proposal_steps_twice', 'the analyst has approved the proposal already');
    END IF;
    IF NOT acts_for(NEW.analyst_id, proposal.desk_id, NEW.recorded_at) THEN
      PERFORM refuse('proposal_steps_desk', 'only an analyst who acts for the desk can approve');
    END IF;
    IF cardinality(approvers) + 1 >= approvals_needed(proposal) THEN
      proposal.state := 'approved';
    END IF;
  ELSIF NEW.kind = 'published' AND pg_trigger_depth() = 1 THEN
    PERFORM refuse('proposal_steps_published', 'only the version or resolution that a proposal becomes can mark it as published');
  ELSIF NEW.kind <> 'commented' THEN
    proposal.state := NEW.kind;
  END IF;
  IF NEW.kind = 'submitted' THEN
    proposal.base_version := NEW.base_version;
    IF (proposal.outlook_id IS NULL) <> (NEW.base_version IS NULL) THEN
      PERFORM refuse('proposal_steps_base', 'a proposal is submitted for a version of its outlook');
    END IF;
  END IF;
  UPDATE proposals
     SET step = NEW.number, state = proposal.state, base_version = proposal.base_version, changed_at = NEW.recorded_at
   WHERE id = NEW.proposal_id;
  RETURN NEW;
END $$;
--> statement-breakpoint
-- What somebody wrote, cut off, is in the event, so that a channel can show it.
CREATE FUNCTION announce_proposal() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  added jsonb := to_jsonb(NEW) - 'body';
  act text := CASE WHEN TG_TABLE_NAME = 'proposal_steps' THEN added->>'kind' WHEN NEW.number = 1 THEN 'opened' ELSE 'edited' END;
BEGIN
  INSERT INTO events (kind, data, recorded_at)
  SELECT 'proposal.' || act, jsonb_build_object('subject', '/v1/proposals/' || p.id, 'proposal', p.id, 'desk', d.slug,
      'kind', p.kind, 'outlook', coalesce(o.slug, n.slug), 'title', proposal_title(p), 'state', p.state, 'draft', p.draft,
      'publishAt', to_char(p.publish_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'version', added->'version', 'text', left(coalesce(added->>'text', added->>'note'), 1000),
      'by', CASE WHEN a.id IS NOT NULL THEN jsonb_build_object('id', a.id, 'name', a.name) END), NEW.recorded_at
    FROM proposals p
    JOIN desks d ON d.id = p.desk_id
    LEFT JOIN outlooks o ON o.id = p.outlook_id
    LEFT JOIN outlook_versions v ON act = 'published' AND p.kind = 'outlook' AND v.proposal_id = p.id
    LEFT JOIN outlooks n ON n.id = v.outlook_id
    LEFT JOIN analysts a ON a.id = CASE TG_TABLE_NAME WHEN 'proposal_drafts' THEN p.author_id ELSE (added->>'analyst_id')::uuid END
   WHERE p.id = NEW.proposal_id;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- The title of the outlook that a proposal is about; of a new one, that of the newest draft.
CREATE FUNCTION proposal_title(proposal proposals) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
  IF proposal.outlook_id IS NOT NULL THEN
    RETURN (SELECT f.title FROM outlooks o JOIN frameworks f ON f.id = o.framework_id WHERE o.id = proposal.outlook_id);
  END IF;
  RETURN (SELECT d.title FROM proposal_drafts d WHERE d.proposal_id = proposal.id AND d.number = proposal.draft);
END $$;
--> statement-breakpoint
-- The policy's kind of a version.
CREATE FUNCTION approvals_needed(version outlook_versions, desk integer) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  policy desk_policies := policy_of(desk);
BEGIN
  IF policy.version IS NULL THEN
    RETURN 0;
  END IF;
  RETURN CASE
    WHEN version.kind = 'created' THEN policy.outlook
    WHEN version.kind = 'withdrawn' THEN policy.withdrawal
    WHEN version.consensus_method IS NOT NULL THEN policy.consensus
    WHEN version.kind <> 'framework' THEN policy.revision
    WHEN EXISTS (SELECT FROM outlook_versions b WHERE b.outlook_id = version.outlook_id AND b.version = version.version - 1
        AND (b.bear_bps, b.base_bps, b.bull_bps) <> (version.bear_bps, version.base_bps, version.bull_bps))
      OR EXISTS (SELECT FROM condition_answers a WHERE a.outlook_id = version.outlook_id AND a.version = version.version)
      THEN greatest(policy.framework, policy.revision)
    ELSE policy.framework END;
END $$;
--> statement-breakpoint
-- With the rights of the owner, like the next one: instances of the release before publish while their role has none to these tables.
CREATE FUNCTION require_version_approval() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  needed integer;
BEGIN
  IF NOT EXISTS (SELECT FROM desk_policies) THEN
    RETURN NULL;
  END IF;
  needed := approvals_needed(NEW, (SELECT coalesce(desk_id, 1) FROM outlooks WHERE id = NEW.outlook_id));
  IF needed > 0 AND (NEW.proposal_id IS NULL OR cardinality(approvers_of(NEW.proposal_id)) < needed) THEN
    PERFORM refuse('outlook_versions_unapproved', 'approvals that the policy of the desk asks for: ' || needed);
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION require_resolution_approval() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  policy desk_policies := policy_of((SELECT coalesce(desk_id, 1) FROM outlooks WHERE id = NEW.outlook_id));
BEGIN
  IF policy.resolution > 0 AND (NEW.proposal_id IS NULL OR cardinality(approvers_of(NEW.proposal_id)) < policy.resolution) THEN
    PERFORM refuse('resolutions_unapproved', 'approvals that the policy of the desk asks for: ' || policy.resolution);
  END IF;
  IF NOT policy.author_may_resolve AND EXISTS (
      SELECT FROM forecasters f WHERE f.outlook_id = NEW.outlook_id AND f.analyst_id = NEW.author_id) THEN
    PERFORM refuse('resolutions_own_forecast', 'the policy of the desk lets nobody resolve an outlook that they forecast');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- What a proposal publishes is of its desk, kind, outlook and author, for the version that it was approved for, and not before its
-- time. It moves the proposal on, so that a proposal publishes once.
CREATE FUNCTION publish_proposal() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  added jsonb := to_jsonb(NEW);
  is_version boolean := TG_TABLE_NAME = 'outlook_versions';
  proposal proposals;
  outlook outlooks;
  late interval;
BEGIN
  SELECT * INTO proposal FROM proposals WHERE id = NEW.proposal_id FOR NO KEY UPDATE;
  SELECT * INTO outlook FROM outlooks WHERE id = NEW.outlook_id;
  IF proposal.state <> 'approved' OR proposal.author_id <> NEW.author_id OR proposal.desk_id <> coalesce(outlook.desk_id, 1)
     OR proposal.outlook_id <> NEW.outlook_id
     OR proposal.base_version <> (CASE WHEN is_version THEN (added->>'version')::integer - 1 ELSE outlook.latest_version END)
     OR proposal.kind <> ALL (CASE WHEN NOT is_version THEN '{resolution}' WHEN added->>'kind' = 'created' THEN '{outlook}'
       WHEN added->>'kind' = 'withdrawn' THEN '{withdrawal}' WHEN added->>'consensus_method' IS NOT NULL THEN '{consensus}'
       WHEN added->>'kind' = 'framework' THEN '{framework}' ELSE '{revision,framework}' END::text[]) THEN
    PERFORM refuse(TG_TABLE_NAME || '_unapproved', 'the proposal was approved for something else, or is not approved');
  END IF;
  IF NEW.recorded_at < proposal.publish_at THEN
    PERFORM refuse('proposals_embargo', 'the proposal can''t be published before ' || proposal.publish_at);
  END IF;
  late := NEW.recorded_at - proposal.publish_at;
  INSERT INTO proposal_steps (proposal_id, number, kind, draft, text, version, recorded_at)
  VALUES (proposal.id, proposal.step + 1, 'published', proposal.draft,
    CASE WHEN late > interval '1 minute' AND proposal.changed_at < proposal.publish_at
      THEN 'Published ' || ceil(extract(epoch FROM late) / 60) || ' minutes after its time.' END,
    CASE WHEN is_version THEN (added->>'version')::integer ELSE (added->>'number')::integer END, NEW.recorded_at);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER guard_policy BEFORE INSERT ON desk_policies FOR EACH ROW EXECUTE FUNCTION guard_policy();
--> statement-breakpoint
CREATE TRIGGER guard_new_proposal BEFORE INSERT ON proposals FOR EACH ROW EXECUTE FUNCTION guard_new_proposal();
--> statement-breakpoint
CREATE TRIGGER guard_proposal BEFORE UPDATE ON proposals FOR EACH ROW EXECUTE FUNCTION guard_proposal();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER require_first_draft AFTER INSERT ON proposals DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION require_first_draft();
--> statement-breakpoint
CREATE TRIGGER append_draft BEFORE INSERT ON proposal_drafts FOR EACH ROW EXECUTE FUNCTION append_draft();
--> statement-breakpoint
CREATE TRIGGER append_step BEFORE INSERT ON proposal_steps FOR EACH ROW EXECUTE FUNCTION append_step();
--> statement-breakpoint
CREATE TRIGGER announce_proposal AFTER INSERT ON proposal_drafts FOR EACH ROW EXECUTE FUNCTION announce_proposal();
--> statement-breakpoint
CREATE TRIGGER announce_proposal AFTER INSERT ON proposal_steps FOR EACH ROW EXECUTE FUNCTION announce_proposal();
--> statement-breakpoint
CREATE TRIGGER publish_proposal AFTER INSERT ON outlook_versions
  FOR EACH ROW WHEN (NEW.proposal_id IS NOT NULL) EXECUTE FUNCTION publish_proposal();
--> statement-breakpoint
CREATE TRIGGER publish_proposal AFTER INSERT ON resolutions
  FOR EACH ROW WHEN (NEW.proposal_id IS NOT NULL) EXECUTE FUNCTION publish_proposal();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER require_approval AFTER INSERT ON outlook_versions DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION require_version_approval();
--> statement-breakpoint
CREATE CONSTRAINT TRIGGER require_approval AFTER INSERT ON resolutions DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION require_resolution_approval();
--> statement-breakpoint
DO $$
DECLARE
  relation text;
BEGIN
  FOREACH relation IN ARRAY ARRAY['desk_policies', 'proposals', 'proposal_drafts', 'proposal_steps'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', relation);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', relation);
  END LOOP;
  FOREACH relation IN ARRAY ARRAY['desk_policies', 'proposal_drafts', 'proposal_steps'] LOOP
    EXECUTE format('CREATE TRIGGER append_only_update BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', relation);
  END LOOP;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION add_administrative_event(write bigint, entry audit_entries) RETURNS bigint
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  event text;
  subject text;
  id bigint;
BEGIN
  SELECT kinds.kind,
      CASE d.relation
        WHEN 'api_keys' THEN '/v1/keys/' || d.keys[1]
        WHEN 'webhooks' THEN '/v1/webhooks/' || d.keys[1]
        WHEN 'instruments' THEN '/v1/instruments/' || (SELECT symbol FROM instruments i WHERE i.id = d.keys[1]::bigint)
        WHEN 'series' THEN '/v1/series/' || (SELECT key FROM series s WHERE s.id = d.keys[1]::bigint)
        WHEN 'observations' THEN '/v1/series/' || (SELECT key FROM series s WHERE s.id = split_part(d.keys[1], ',', 1)::bigint) || '/observations'
        WHEN 'analysts' THEN '/v1/analysts/' || d.keys[1]
        WHEN 'desks' THEN '/v1/desks/' || (SELECT desks.slug FROM desks WHERE desks.id = d.keys[1]::integer)
        WHEN 'disclosures' THEN '/v1/series/' || (SELECT s.key FROM disclosures JOIN series s ON s.id = series_id
          WHERE disclosures.id = d.keys[1]::bigint)
        WHEN 'desk_policies' THEN '/v1/desks/' || (SELECT desks.slug FROM desks WHERE desks.id = split_part(d.keys[1], ',', 1)::integer) || '/policy'
        WHEN 'log_generations' THEN '/log/' || d.keys[1]
        ELSE d.relation END
    INTO event, subject
    FROM row_digests d
    JOIN (VALUES
      (1, 'log_generations', 'insert', 'log.generation.started'),
      (2, 'api_keys', 'insert', 'key.issued'),
      (3, 'api_keys', 'update', 'key.revoked'),
      (4, 'webhooks', NULL, 'webhook.changed'),
      (5, 'series_sources', NULL, 'source.changed'),
      (6, 'observations', 'insert', 'observations.recorded'),
      (7, 'series', 'insert', 'series.added'),
      (8, 'instruments', 'insert', 'instrument.added'),
      (9, 'instruments', 'update', 'instrument.changed'),
      (10, 'analysts', 'insert', 'analyst.added'),
      (11, 'analyst_identities', 'insert', 'analyst.added'),
      (12, 'desks', 'insert', 'desk.added'),
      (13, 'desks', 'update', 'desk.changed'),
      (14, 'disclosures', 'insert', 'series.disclosed'),
      (15, 'desk_policies', 'insert', 'policy.changed'),
      (100, NULL, NULL, 'write.recorded')
    ) AS kinds (rank, relation, operation, kind)
      ON coalesce(kinds.relation = d.relation, true) AND coalesce(kinds.operation = d.operation, true)
   WHERE d.write_id = write
   ORDER BY kinds.rank, d.number LIMIT 1;
  IF entry.kind = 'refusal' THEN
    event := 'refusals.recorded';
  END IF;
  INSERT INTO events (kind, data, recorded_at)
  VALUES (event, jsonb_build_object('subject', coalesce(entry.subject, subject)), coalesce(entry.recorded_at, clock_timestamp()))
  RETURNING events.id INTO id;
  RETURN id;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION event_data_by(data jsonb, analyst uuid, old_name text, new_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  list text;
BEGIN
  IF data->'analyst'->>'id' = analyst::text THEN
    data := jsonb_set(data, '{analyst,name}', to_jsonb(new_name));
  END IF;
  IF data->'by'->>'id' = analyst::text THEN
    data := jsonb_set(data, '{by,name}', to_jsonb(new_name));
  END IF;
  IF jsonb_typeof(data->'reason') = 'string' THEN
    data := jsonb_set(data, '{reason}', to_jsonb(reason_by(data->>'reason', old_name, new_name)));
  END IF;
  FOREACH list IN ARRAY ARRAY['reasons', 'reviewReasons'] LOOP
    IF jsonb_array_length(CASE jsonb_typeof(data->list) WHEN 'array' THEN data->list ELSE '[]' END) > 0 THEN
      data := jsonb_set(data, ARRAY[list], (
        SELECT jsonb_agg(to_jsonb(reason_by(reason, old_name, new_name)) ORDER BY i)
          FROM jsonb_array_elements_text(data->list) WITH ORDINALITY AS r (reason, i)));
    END IF;
  END LOOP;
  RETURN data;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION erase_name() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  old_name text;
  new_name text := 'Erased analyst ' || left(NEW.analyst_id::text, 8);
  assessed bigint[];
  changed text[];
BEGIN
  -- One at a time, and not while rows or events of before the log are digested.
  PERFORM pg_advisory_xact_lock(hashtextextended('outlook-ledger names', 0));
  -- Waits for writes of this analyst that are in progress.
  SELECT name INTO old_name FROM analysts WHERE id = NEW.analyst_id FOR UPDATE;
  IF EXISTS (SELECT FROM analysts WHERE name = new_name) THEN
    new_name := 'Erased analyst ' || NEW.analyst_id;
  END IF;
  UPDATE analysts SET name = new_name WHERE id = NEW.analyst_id;
  PERFORM erase_digests('analysts', ARRAY[NEW.analyst_id::text]);
  WITH written AS (
    UPDATE condition_changes SET reason = reason_by(reason, old_name, new_name)
     WHERE author_id = NEW.analyst_id AND reason_by(reason, old_name, new_name) <> reason
    RETURNING id, outlook_id
  )
  SELECT array_agg(id::text), array_agg(DISTINCT outlook_id) INTO changed, assessed FROM written;
  PERFORM erase_digests('condition_changes', changed);
  WITH written AS (
    UPDATE events e SET data = event_data_by(data, NEW.analyst_id, old_name, new_name)
     WHERE (kind IN ('view.published', 'view.withdrawn') OR kind LIKE 'proposal.%' OR outlook_id = ANY (assessed))
       AND event_data_by(data, NEW.analyst_id, old_name, new_name) <> data
    RETURNING id
  )
  SELECT array_agg(id::text) INTO changed FROM written;
  PERFORM erase_digests('events', changed);
  PERFORM refresh_conditions(assessed);
  PERFORM erase_access(NEW, old_name, new_name);
  PERFORM erase_openings(NEW, old_name);
  UPDATE frameworks SET search = ''
   WHERE search <> '' AND outlook_id IN (
     SELECT outlook_id FROM forecasters WHERE analyst_id = NEW.analyst_id AND source = 'version'
     UNION ALL
     SELECT outlook_id FROM outlook_versions WHERE author_id = NEW.analyst_id AND kind = 'withdrawn');
  INSERT INTO events (kind, data, recorded_at)
  VALUES ('analyst.erased', jsonb_build_object('subject', '/v1/analysts/' || NEW.analyst_id), NEW.recorded_at);
  UPDATE erasures SET is_done = true WHERE id = NEW.id;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION erase_access(erasure erasures, old_name text, new_name text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  key_paths text[] := ARRAY(SELECT '/v1/keys/' || k.id FROM api_keys k WHERE k.analyst_id = erasure.analyst_id);
  identities analyst_identities[] := ARRAY(SELECT i FROM analyst_identities i WHERE i.analyst_id = erasure.analyst_id);
  -- As the ledger stores them, cut off.
  credentials text[] := ARRAY(SELECT left(i.issuer || ' ' || i.subject, 1000) FROM unnest(identities) AS i);
  -- As summaries name who approved.
  approver text := '"' || old_name || '" (' || erasure.analyst_id || ')';
  changed text[];
  identity analyst_identities;
BEGIN
  WITH written AS (
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, erasure.recorded_at),
        issued_with = CASE WHEN issued_with = ANY (credentials) THEN 'erased' ELSE issued_with END
     WHERE (analyst_id = erasure.analyst_id AND revoked_at IS NULL) OR issued_with = ANY (credentials)
    RETURNING id
  )
  SELECT array_agg(id::text) INTO changed FROM written;
  PERFORM erase_digests('api_keys', changed);
  FOREACH identity IN ARRAY identities LOOP
    UPDATE audit_entries SET detail = replace(detail, identity.subject, 'erased')
     WHERE kind = 'refusal' AND credential = left(identity.issuer || ' ' || identity.subject, 1000);
  END LOOP;
  WITH written AS (
    UPDATE audit_entries
       SET summary = CASE WHEN subject = ANY (key_paths) THEN replace(summary, '"' || old_name || '"', '"' || new_name || '"')
             ELSE replace(summary, approver, '"' || new_name || '" (' || erasure.analyst_id || ')') END,
           credential = CASE WHEN credential = ANY (credentials) THEN 'erased' ELSE credential END
     WHERE (subject = ANY (key_paths) AND position('"' || old_name || '"' IN summary) > 0)
        OR position(approver IN summary) > 0 OR credential = ANY (credentials)
    RETURNING id
  )
  SELECT array_agg(id::text) INTO changed FROM written;
  PERFORM erase_digests('audit_entries', changed);
  DELETE FROM analyst_identities WHERE analyst_id = erasure.analyst_id;
  changed := ARRAY(SELECT row_key(i) FROM unnest(identities) AS i);
  PERFORM erase_digests('analyst_identities', changed);
  UPDATE digest_progress SET after_key = NULL WHERE relation = 'analyst_identities' AND after_key = ANY (changed);
  DELETE FROM analyst_skeletons WHERE analyst_id = erasure.analyst_id;
  -- Responses that name the analyst, or hold one of their keys. Names in others' responses come with the id, or begin a reason.
  DELETE FROM idempotency_keys
   WHERE analyst_id = erasure.analyst_id OR headers->>'location' = ANY (key_paths)
      OR position(convert_to(erasure.analyst_id::text, 'UTF8') IN body) > 0
      OR position(convert_to(rtrim(to_json(old_name || ' assessed "')::text, '"'), 'UTF8') IN body) > 0;
END $$;
--> statement-breakpoint
DO $$
BEGIN
  PERFORM digest_table('desk_policies');
  PERFORM digest_table('proposals', '{state, draft, step, base_version, publish_at, changed_at}');
  PERFORM digest_table('proposal_drafts');
  PERFORM digest_table('proposal_steps');
  PERFORM digest_table('outlook_versions', '{transaction_id}');
  PERFORM digest_table('resolutions', '{superseded_at}');
END $$;
