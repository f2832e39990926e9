import { type ProblemCode, PROBLEMS } from '../problem-catalogue.ts';

/** The problems that every operation may answer, by status. */
const OF_EVERY_OPERATION: Record<string, readonly ProblemCode[]> = {
  400: ['malformed-request'],
  401: ['unauthorized'],
  403: ['forbidden'],
  404: ['not-found'],
  406: ['not-acceptable'],
  408: ['malformed-request'],
  412: ['precondition-failed'],
  413: ['body-too-large'],
  415: ['unsupported-media-type'],
  417: ['expectation-failed'],
  422: ['invalid-request'],
  429: ['rate-limited'],
  431: ['malformed-request'],
  500: ['internal-error'],
  501: ['not-implemented'],
  503: ['unavailable', 'overloaded', 'read-only', 'storage-full'],
};

const REVISION = [
  'no-change',
  'outlook-closed',
  'horizon-ended',
  'condition-unanswered',
  'wrong-desk',
] as const;

/** The problems of a submission: those that its request could have. */
const PUBLICATION = [
  'slug-taken',
  'probability-sum',
  ...REVISION,
  'already-resolved',
  'reason-required',
  'outcome-contradicted',
  'own-forecast',
  'no-views',
  'no-weights',
  'no-pool',
] as const;

const REVIEW = ['proposal-changed', 'proposal-settled', 'proposal-state', 'proposal-full'] as const;

const RECEIPT = ['no-signed-log', 'record-altered', 'opening-erased', 'receipt-not-ready'] as const;

/** The problems of single operations besides those above. */
const OF_OPERATION: Record<string, readonly ProblemCode[]> = {
  createOutlook: ['slug-taken', 'probability-sum', 'wrong-desk'],
  setDeskPolicy: ['policy-unsatisfiable'],
  openProposal: ['wrong-desk', 'too-many-proposals', ...PUBLICATION],
  editProposal: ['author-only', 'proposal-settled', 'proposal-full'],
  discardProposal: ['author-only', 'proposal-settled'],
  submitProposal: [
    'author-only',
    'proposal-settled',
    'proposal-state',
    'proposal-full',
    ...PUBLICATION,
  ],
  approveProposal: ['own-proposal', 'already-approved', 'wrong-desk', ...REVIEW],
  returnProposal: ['own-proposal', ...REVIEW],
  commentProposal: ['proposal-settled', 'proposal-full'],
  addDesk: ['desk-taken'],
  renameDesk: ['desk-taken'],
  createInstrument: ['symbol-taken'],
  patchInstrument: ['closes-named'],
  createSeries: ['series-taken', 'wrong-desk'],
  recordObservations: ['wrong-desk'],
  setSeriesSource: ['wrong-desk'],
  removeSeriesSource: ['wrong-desk'],
  discloseOutlook: ['already-public', 'disclosure-changed', 'series-internal', 'wrong-desk'],
  getOutlookDisclosure: ['already-public', 'wrong-desk'],
  discloseSeries: ['already-public', 'disclosure-changed', 'wrong-desk'],
  getSeriesDisclosure: ['already-public', 'wrong-desk'],
  changeAnalyst: ['name-taken', 'last-admin-key'],
  issueKey: ['name-taken', 'analyst-deactivated'],
  revokeKey: ['last-admin-key'],
  reviseOutlook: ['probability-sum', ...REVISION],
  reviseFramework: ['probability-sum', ...REVISION],
  publishConsensus: ['no-views', 'no-weights', 'no-pool', ...REVISION],
  getConsensus: ['too-few-views', 'no-views', 'no-weights', 'no-pool'],
  holdView: ['probability-sum', 'outlook-closed', 'horizon-ended'],
  withdrawView: ['outlook-closed', 'horizon-ended'],
  withdrawOutlook: ['outlook-closed', 'wrong-desk'],
  addEvidence: ['outlook-closed'],
  assessCondition: ['outlook-closed', 'horizon-ended', 'wrong-desk'],
  resolveOutlook: [
    'already-resolved',
    'wrong-desk',
    'own-forecast',
    'outlook-closed',
    'reason-required',
    'outcome-contradicted',
    'no-closes',
  ],
  getCheckpoint: ['no-signed-log'],
  getDrawdown: ['no-closes'],
  getChart: ['no-closes'],
  ...Object.fromEntries(
    ['getVersionReceipt', 'getResolutionReceipt', 'getEvidenceReceipt', 'getViewReceipt', 'getOwnViewReceipt'].map(
      (operation) => [operation, RECEIPT],
    ),
  ),
  streamEvents: ['unknown-event', 'too-many-streams'],
  streamOutlookEvents: ['unknown-event', 'too-many-streams'],
  streamInboxEvents: ['unknown-event', 'too-many-streams'],
};

const OF_IDEMPOTENCY: readonly ProblemCode[] = [
  'idempotency-key-in-flight',
  'idempotency-key-reused',
];

type Details = { detail: string; [extension: string]: unknown };

/** What a problem says of one request. Without an entry, the text of its meaning stands in. */
const DETAILS: Partial<Record<ProblemCode, Details>> = {
  'malformed-request': {
    detail: 'The body is not valid JSON: expected a value at position 18.',
  },
  unauthorized: { detail: 'The key is unknown, expired or revoked.' },
  forbidden: { detail: 'This needs a key with the role analyst or admin.' },
  'wrong-desk': {
    detail:
      '"russell-2000-downside" belongs to the desk "rates" (Rates desk), for which your key or token does not act.',
  },
  'not-found': { detail: 'Nothing exists at this URL.' },
  'not-acceptable': { detail: 'This URL is available as application/json or text/csv.' },
  'slug-taken': { detail: 'Another outlook has the slug russell-2000-downside.' },
  'own-proposal': { detail: 'You are the author of this proposal, so another analyst has to approve or return it.' },
  'author-only': { detail: 'Ana Rivera is the author of this proposal, and only its author edits it.' },
  'own-forecast': { detail: 'You forecast "russell-2000-downside", so by the policy of its desk another analyst has to resolve it.' },
  'policy-unsatisfiable': {
    detail: '1 analyst acts for the desk "rates", so nobody else could approve a proposal. Nothing was changed.',
    errors: [
      {
        pointer: '/approvals/revision',
        detail: 'must be at most 0: 1 analyst acts for the desk "rates", and an author can\'t approve',
      },
    ],
  },
  'already-approved': { detail: 'You approved draft 2 already.' },
  'proposal-changed': {
    detail: 'Draft 2 is the newest one, not draft 1.',
    draft: 2,
    changes: ['/body/probabilities/bear', '/body/probabilities/base'],
  },
  'proposal-state': { detail: 'The proposal is a draft: its author has to submit it first.' },
  'proposal-settled': { detail: 'The proposal is published.' },
  'desk-taken': {
    detail: 'The desk "rates" exists already.',
    errors: [{ pointer: '/slug', detail: 'is taken; use that desk or choose another slug' }],
  },
  'symbol-taken': { detail: 'Another instrument has the symbol RUT.' },
  'series-taken': { detail: 'Another series has the key us-10y-yield.' },
  'name-taken': { detail: 'The name looks like that of the analyst "Small-cap desk".' },
  'outlook-closed': { detail: 'The outlook is resolved, so it can no longer change.' },
  'horizon-ended': { detail: 'The horizon is over since 2027-03-31.' },
  'already-resolved': { detail: 'Resolution 1 stands; to correct it, send "supersedes": 1.' },
  'precondition-failed': { detail: 'The current ETag is "n1qqmwXCpBqHUqJIKsXBSjuAMWU".' },
  'body-too-large': { detail: 'The body exceeds the limit of 1 MiB.' },
  'unsupported-media-type': { detail: 'Send application/json, not text/plain.' },
  'expectation-failed': { detail: 'The only supported expectation is 100-continue.' },
  'invalid-request': {
    detail: 'Validation failed for 1 field; see `errors`.',
    errors: [{ pointer: '/rationale', detail: 'is required' }],
  },
  'probability-sum': {
    detail: 'bear 0.35 + base 0.45 + bull 0.25 = 1.05, which is 0.05 too much.',
    sum: 1.05,
    excess: 0.05,
    errors: [{ pointer: '/probabilities', detail: 'sums to 1.05; take 0.05 away' }],
  },
  'condition-unanswered': {
    detail: 'A triggered condition has no answer yet.',
    errors: [
      {
        pointer: '/probabilities/bear',
        detail:
          '"rate-relief" is triggered: us-30y-yield was 4.16 on 2026-11-20, below 4.25 for 3 observations in a row.',
      },
    ],
    conditions: [
      {
        key: 'rate-relief',
        invalidates: 'bear',
        statement: 'The 30-year yield falls below 4.25 percent and stays there.',
        reason: 'us-30y-yield was 4.16 on 2026-11-20, below 4.25 for 3 observations in a row.',
        triggeredAt: '2026-11-20T21:00:00.000Z',
      },
    ],
  },
  'unknown-event': { detail: 'No event has the id latest.' },
  'too-many-streams': { detail: 'Your address has too many open streams; close one.' },
  'rate-limited': {
    detail: 'Your address has sent more than 600 requests within a minute; try again in 12 s.',
  },
  'internal-error': { detail: 'The service hit an unexpected error.' },
  'not-implemented': { detail: 'The only supported transfer coding is chunked.' },
  unavailable: { detail: 'The database is unreachable or busy; try again.' },
  overloaded: { detail: 'The service is handling as many requests as it can.' },
  'read-only': { detail: 'The database is read-only; nothing was stored.' },
  'storage-full': { detail: "The database's disk is full; nothing was stored." },
};

/** What Node.js answers itself, before any route. */
const BY_STATUS: Record<string, Details> = {
  408: { detail: 'The request took too long to arrive.' },
  431: { detail: 'The headers exceed 16 KiB.' },
};

/**
 * The problems that a response with a status may have.
 * @param isIdempotent whether the operation takes an `Idempotency-Key`
 */
export function problemsOf(
  operationId: string,
  status: string,
  isIdempotent: boolean,
): { codes: readonly ProblemCode[]; areOwn: boolean } {
  const own = [...(OF_OPERATION[operationId] ?? []), ...(isIdempotent ? OF_IDEMPOTENCY : [])];
  const ofStatus = own.filter((code) => PROBLEMS[code].status === Number(status));
  const codes = [...new Set([...(OF_EVERY_OPERATION[status] ?? []), ...ofStatus])];
  return { codes, areOwn: ofStatus.length > 0 };
}

/** An example of a problem as the response to a request for a path. */
export function problemExample(code: ProblemCode, instance: string, status: string): object {
  const { title, meaning } = PROBLEMS[code];
  const { detail, ...extensions } = BY_STATUS[status] ?? DETAILS[code] ?? { detail: meaning };
  return {
    type: `/problems/${code}`,
    title,
    status: Number(status),
    detail,
    ...(BY_STATUS[status] === undefined && { instance }),
    ...extensions,
  };
}
