import type { DomainErrorCode } from '../domain/errors.ts';

/** Each kind of problem: its status, its title, what it means and how to mend the request. */
export const PROBLEMS = {
  'malformed-request': {
    status: 400,
    title: 'The request cannot be read',
    meaning: 'The body is not JSON, or the URL is not a URL; nothing in it was looked at.',
    mend: 'Mend the syntax at the place that `detail` names and send the request again.',
  },
  unauthorized: {
    status: 401,
    title: 'A valid key is needed',
    meaning:
      'The request carries no API key and no token, or one that is unknown, expired or revoked.',
    mend: 'Send `Authorization: Bearer olk_…` with a key that is in force. An admin issues keys with POST /v1/keys. Where the service trusts an identity provider, a token of it does, too.',
  },
  forbidden: {
    status: 403,
    title: 'The key does not allow this',
    meaning: 'The key is in force, but its role may not do what was asked.',
    mend: 'Use a key of the role that `detail` names; an admin can issue one.',
  },
  'not-found': {
    status: 404,
    title: 'Not found',
    meaning: 'Nothing stands under this URL.',
    mend: 'Check the path against /docs, and the names in it against the lists, such as GET /v1/outlooks.',
  },
  'method-not-allowed': {
    status: 405,
    title: 'The method is not allowed here',
    meaning: 'The URL exists but does not take this method.',
    mend: 'Use one of the methods in the `Allow` header.',
  },
  'not-acceptable': {
    status: 406,
    title: 'No representation is acceptable',
    meaning: 'The `Accept` header excludes every media type that this URL is served as.',
    mend: 'Accept application/json, or leave the header out.',
  },
  'slug-taken': {
    status: 409,
    title: 'The slug is taken',
    meaning: 'Another outlook has this slug. Slugs are never reused.',
    mend: 'Give another slug, or revise the outlook that has it.',
  },
  'symbol-taken': {
    status: 409,
    title: 'The symbol is taken',
    meaning: 'Another instrument has this symbol.',
    mend: 'Use that instrument, or another symbol.',
  },
  'series-taken': {
    status: 409,
    title: 'The key is taken',
    meaning: 'Another series has this key.',
    mend: 'Use that series, or another key.',
  },
  'closes-named': {
    status: 409,
    title: 'The instrument has another series of closes',
    meaning: 'The series that holds the closes of an instrument is named once and stays.',
    mend: 'Send observations to the series that is named, or create another instrument.',
  },
  'no-closes': {
    status: 409,
    title: 'The instrument has no series of closes',
    meaning:
      'Drawdowns are computed from closes, and the instrument of the outlook names no series of them.',
    mend: 'Name it with PATCH /v1/instruments/{symbol}: {"closes": "<key of a series>"}.',
  },
  'outlook-closed': {
    status: 409,
    title: 'The outlook takes no further version',
    meaning: 'The outlook is resolved, void or withdrawn; what it said stays as it is.',
    mend: 'Create a new outlook for a new view.',
  },
  'already-resolved': {
    status: 409,
    title: 'The outlook is resolved already',
    meaning: 'A resolution stands, and the request does not name it as the one to correct.',
    mend: 'Read GET …/resolution. Where it is wrong, send its number as `supersedes`, with why as the reason; it stays on record.',
  },
  'idempotency-key-in-flight': {
    status: 409,
    title: 'The same request is being worked on',
    meaning: 'A request with the same Idempotency-Key has not been answered yet.',
    mend: 'Wait the seconds in `Retry-After`, and send it again: it is answered as the first one was.',
  },
  'no-views': {
    status: 409,
    title: 'No analyst holds a view',
    meaning: 'A consensus is pooled from the views that analysts hold, and there is none.',
    mend: 'Hold one with PUT /v1/outlooks/{slug}/views/me.',
  },
  'no-weights': {
    status: 409,
    title: 'No view has any weight',
    meaning:
      'Weights by skill go by what was scored of the analysts who hold a view, and of none of them anything better than chance was.',
    mend: 'Ask with `weights=equal` or `weights=recency`.',
  },
  'no-pool': {
    status: 409,
    title: 'The logarithmic pool does not exist',
    meaning:
      'A view that gives a scenario probability 0 rules it out in a logarithmic pool, and between them the views rule out all three.',
    mend: 'Ask with `method=linear`.',
  },
  'precondition-failed': {
    status: 412,
    title: 'The outlook has changed since you read it',
    meaning: 'The `If-Match` header names another state of the outlook than the one that stands.',
    mend: 'Read the outlook again, decide whether your change still holds, and send it with the new ETag.',
  },
  'body-too-large': {
    status: 413,
    title: 'The body is too large',
    meaning: 'The body exceeds the limit that `detail` tells.',
    mend: 'Send a smaller document.',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The content type is not supported',
    meaning: 'The `Content-Type` header names no type that this URL takes.',
    mend: 'Send the content type that `detail` names.',
  },
  'invalid-request': {
    status: 422,
    title: 'The request is not acceptable',
    meaning:
      'The request can be read, but some of its fields can not be accepted. Nothing was stored.',
    mend: 'Each entry of `errors` points to one field (a JSON Pointer into the body, or into the query or path where `in` says so) and says how to mend it.',
  },
  'probability-sum': {
    status: 422,
    title: 'Probabilities must sum to 1',
    meaning:
      'The three probabilities do not sum to exactly 1. There is no tolerance and nothing is normalised: a share that nobody decided on would end up in the ledger.',
    mend: 'Take `excess` away from (or, where it is negative, add it to) one or more of the three.',
  },
  'no-change': {
    status: 422,
    title: 'The revision changes nothing',
    meaning: 'What was sent equals the version that stands, so there is nothing to publish.',
    mend: 'Change a probability or the framework, or send nothing.',
  },
  'idempotency-key-reused': {
    status: 422,
    title: 'The Idempotency-Key belongs to another request',
    meaning:
      'The key was sent with another method, URL or body, or under another key or token. Nothing was stored.',
    mend: 'Send each request with a key of its own, such as a new UUID, and the same one only to try again.',
  },
  'reason-required': {
    status: 422,
    title: 'The resolution needs a reason',
    meaning:
      'An outlook is resolved before the end of its horizon, resolved as void, or resolved anew, only with a reason. Nothing was stored.',
    mend: 'Send the reason as `reason`; it is shown with the resolution.',
  },
  'outcome-contradicted': {
    status: 422,
    title: 'The return contradicts the outcome',
    meaning:
      'By the return bands of the outlook, the return over the horizon (by the closes of the instrument, or as it was sent) falls into another scenario than the outcome. Nothing was stored.',
    mend: 'Leave `outcome` out to take what the closes say, give the outcome that the return falls into, or send a `reason`.',
  },
  'unknown-event': {
    status: 422,
    title: 'No event has this id',
    meaning:
      'A stream was to go on behind an event that this ledger never had. Events are kept for ever, so it is the id of another ledger, or of one that was restored from an older backup since.',
    mend: 'Read what you show again, and follow the events without an id, from now on.',
  },
  'too-many-streams': {
    status: 429,
    title: 'Too many streams from one address',
    meaning: 'Each address may have a limited number of event streams open at once.',
    mend: 'Share one stream between the parts of a page or the pages of a browser, or close some.',
  },
  'rate-limited': {
    status: 429,
    title: 'Too many requests',
    meaning:
      'Each address and each key may send a limited number of requests a minute, which `RateLimit-Policy` tells, and have a limited number at work at once. Nothing was done.',
    mend: 'Wait the seconds in `Retry-After`, and send the request again. `RateLimit` tells with each answer how many are left (`r`) for how many seconds (`t`).',
  },
  'condition-unanswered': {
    status: 422,
    title: 'A triggered condition wants an answer',
    meaning:
      'A condition that would show a scenario to be wrong has been triggered, and no version has answered it yet. The next version must. Nothing was stored.',
    mend: 'For each entry of `conditions`: give the scenario that it invalidates less weight than it has, or add `{"condition": "<its key>", "reason": "why the weight stays"}` to `acknowledges`.',
  },
  'internal-error': {
    status: 500,
    title: 'Something went wrong on our side',
    meaning: 'The service met a state that it does not expect.',
    mend: 'Read what the request was about, as it may or may not have been carried out, and try again. If it persists, tell whoever runs the service the `X-Request-Id` of the answer.',
  },
  unavailable: {
    status: 503,
    title: 'The service is not available right now',
    meaning: 'The database can not be reached, or the service is starting or stopping.',
    mend: 'Try again after the number of seconds in `Retry-After`. A write that was not acknowledged may or may not have been stored: send it again with the same `Idempotency-Key`, or read the outlook before sending it again.',
  },
  overloaded: {
    status: 503,
    title: 'The service has too much to do',
    meaning: 'As many requests are at work as the service can take. Nothing was done.',
    mend: 'Try again after the number of seconds in `Retry-After`.',
  },
  'read-only': {
    status: 503,
    title: 'The ledger takes no writes right now',
    meaning:
      'The database is read-only, as while another one takes over. Reads are answered. Nothing was stored.',
    mend: 'Try again after the number of seconds in `Retry-After`.',
  },
  'storage-full': {
    status: 503,
    title: 'The ledger has no room left',
    meaning:
      'The disk of the database is full. Reads are answered. Whoever runs the service has to make room; it goes on by itself then. Nothing was stored.',
    mend: 'Try again after the number of seconds in `Retry-After`.',
  },
} as const satisfies Record<
  string,
  { status: number; title: string; meaning: string; mend: string }
>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Which problem each refusal of the domain is. */
const DOMAIN_PROBLEMS: Record<DomainErrorCode, ProblemCode> = {
  'slug-taken': 'slug-taken',
  'symbol-taken': 'symbol-taken',
  'unknown-instrument': 'invalid-request',
  'outlook-not-found': 'not-found',
  'version-not-found': 'not-found',
  'nothing-stood': 'not-found',
  'instrument-not-found': 'not-found',
  'key-not-found': 'not-found',
  'webhook-not-found': 'not-found',
  'unknown-outlook': 'invalid-request',
  'no-change': 'no-change',
  'condition-unanswered': 'condition-unanswered',
  'nothing-to-acknowledge': 'invalid-request',
  'condition-not-found': 'not-found',
  'assessment-refused': 'invalid-request',
  'unknown-evidence': 'invalid-request',
  'evidence-not-found': 'not-found',
  'evidence-refused': 'invalid-request',
  'unknown-series': 'invalid-request',
  'series-not-found': 'not-found',
  'series-taken': 'series-taken',
  'closes-named': 'closes-named',
  'no-closes': 'no-closes',
  'analyst-not-found': 'not-found',
  'view-not-found': 'not-found',
  'already-resolved': 'already-resolved',
  'resolution-refused': 'invalid-request',
  'reason-required': 'reason-required',
  'outcome-contradicted': 'outcome-contradicted',
  'no-views': 'no-views',
  'no-weights': 'no-weights',
  'no-pool': 'no-pool',
  'outlook-closed': 'outlook-closed',
};

export function domainProblem(code: DomainErrorCode): ProblemCode {
  return DOMAIN_PROBLEMS[code];
}
