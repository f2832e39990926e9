import type pg from 'pg';
import { analystNamed } from './access/analysts.ts';
import { hasKeys, issueKey } from './access/api-keys.ts';
import { appendAudit, localWrite } from './access/audit-log.ts';
import { issuedSubject } from './access/key-routes.ts';
import { inTransaction } from './postgres/pool.ts';
import { addEvidence } from './ledger/add-evidence.ts';
import { createInstrument } from './ledger/instruments.ts';
import { recordObservations } from './ledger/observations.ts';
import { createSeries } from './ledger/series.ts';
import { FIRST_DESK } from './domain/desks.ts';
import { DomainError } from './domain/errors.ts';
import { ApprovalNeeded } from './domain/proposals.ts';
import { isOver } from './domain/horizon.ts';
import { publishOutlook } from './api/carry-out.ts';
import {
  SAMPLE_CLOSES,
  SAMPLE_EVIDENCE,
  SAMPLE_INSTRUMENT,
  SAMPLE_OUTLOOK,
  SAMPLE_SERIES,
} from './http/openapi/examples.ts';
import { newEvidence } from './api/schemas/evidence.ts';
import { newInstrument } from './api/schemas/instruments.ts';
import { newOutlook } from './api/schemas/outlook-requests.ts';
import { newObservations, newSeries } from './api/schemas/series.ts';
import { parse } from './http/validation.ts';

/**
 * Issues an admin key unless any key was ever issued, and passes it to `show`. The key is committed after `show` returns,
 * so that a key that was never shown can't lock everyone out.
 */
export async function issueFirstKey(
  pool: pg.Pool,
  now: Date,
  show: (key: string) => void,
): Promise<void> {
  await inTransaction(pool, async (session) => {
    await session.query(
      `select pg_advisory_xact_lock(hashtextextended('outlook-ledger first key', 0))`,
    );
    if (await hasKeys(session)) return;
    const request = { name: 'Admin', role: 'admin', expiresAt: null } as const;
    const { key, issued } = await issueKey(session, request, now);
    const path = `/v1/keys/${issued.id} (issued)`;
    await appendAudit(session, [localWrite(path, issuedSubject(issued), now)]);
    show(key);
  });
}

/** The desk of the sample. */
const SAMPLE_DESKS = [FIRST_DESK];

/**
 * Publishes the sample outlook, as its POST would, and creates the series that its rules watch, unless they exist. What the
 * ledger refuses is left out: its horizon is over, the policy of the first desk asks for approval of new outlooks, its analyst is
 * deactivated, or somebody uses its names for something else. A new outlook also gets the sample evidence and observations if
 * their date is not in the future.
 */
export async function loadSamples(pool: pg.Pool, now: Date): Promise<void> {
  const author = await unlessRefused(() =>
    inTransaction(pool, (session) => analystNamed(session, 'Sample desk', now)),
  );
  if (author === null) return;
  for (const sample of SAMPLE_SERIES.series) {
    await unlessRefused(() => createSeries(pool, parse(newSeries, sample), SAMPLE_DESKS, now));
  }
  await unlessRefused(() =>
    createInstrument(pool, parse(newInstrument, SAMPLE_INSTRUMENT), SAMPLE_DESKS, now),
  );
  const sample = parse(newOutlook, SAMPLE_OUTLOOK);
  if (isOver(sample.horizon, now)) return;
  const published = await unlessRefused(() =>
    inTransaction(pool, async (session) => {
      const subject = `/v1/outlooks/${sample.slug}/versions/1`;
      const about = { subject, summary: 'Created the sample outlook' };
      await appendAudit(session, [localWrite(`/v1/outlooks/${sample.slug} (sample)`, about, now)]);
      const actor = { analyst: author, desks: SAMPLE_DESKS };
      return publishOutlook(session, sample, { actor, mode: 'direct' }, () => now);
    }),
  );
  const evidence = parse(newEvidence, SAMPLE_EVIDENCE);
  if (published === null || evidence.publishedAt > now) return;
  const { observations } = parse(newObservations, SAMPLE_CLOSES);
  await unlessRefused(() =>
    inTransaction(pool, async (session) => {
      await addEvidence(session, published.slug, evidence, author, () => now);
      await recordObservations(session, 'rut-close', SAMPLE_DESKS, observations, () => now);
    }),
  );
}

/** What the ledger refuses of the sample must not keep the service from starting. */
async function unlessRefused<Created>(create: () => Promise<Created>): Promise<Created | null> {
  try {
    return await create();
  } catch (error) {
    if (error instanceof DomainError || error instanceof ApprovalNeeded) return null;
    throw error;
  }
}
