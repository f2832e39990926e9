import { DESK_PROBLEMS } from './desk-problems.ts';
import { DISCLOSURE_PROBLEMS } from './disclosure-problems.ts';
import { PROPOSAL_PROBLEMS } from './proposal-problems.ts';
import { RECEIPT_PROBLEMS } from './receipt-problems.ts';

/** Each kind of problem: its status, its title, what it means and how to fix the request. */
export const PROBLEMS = {
  ...RECEIPT_PROBLEMS,
  ...DESK_PROBLEMS,
  ...PROPOSAL_PROBLEMS,
  ...DISCLOSURE_PROBLEMS,
  'malformed-request': {
    status: 400,
    title: 'The request cannot be parsed',
    meaning:
      'The body is not valid JSON, the URL is malformed, or a header is missing, invalid or repeated. No field was validated.',
    mend: 'Fix the syntax at the place that `detail` names, and send the request again.',
  },
  unauthorized: {
    status: 401,
    title: 'A valid key is required',
    meaning:
      'The request carries no API key and no token, or one that is unknown, expired or revoked.',
    mend: 'Send `Authorization: Bearer olk_…` with a valid key. An admin issues keys with POST /v1/keys. If the service trusts an identity provider, a token from it works as well.',
  },
  forbidden: {
    status: 403,
    title: 'The key does not allow this',
    meaning: 'The key is valid, but its role does not permit this request.',
    mend: 'Use a key with the role that `detail` names. An admin can issue one.',
  },
  'not-found': {
    status: 404,
    title: 'Not found',
    meaning: 'Nothing exists at this URL.',
    mend: 'Check the path against /docs, and the names in it against a list, such as GET /v1/outlooks.',
  },
  'method-not-allowed': {
    status: 405,
    title: 'Method not allowed',
    meaning: 'The URL exists but does not support this method.',
    mend: 'Use one of the methods in the `Allow` header.',
  },
  'not-acceptable': {
    status: 406,
    title: 'No acceptable media type',
    meaning: 'The `Accept` header excludes every media type that is available at this URL.',
    mend: 'Accept a media type that `detail` names, or leave the header out.',
  },
  'slug-taken': {
    status: 409,
    title: 'The slug is taken',
    meaning: 'Another outlook has this slug. Slugs are never reused.',
    mend: 'Choose another slug, or revise the outlook that has it.',
  },
  'symbol-taken': {
    status: 409,
    title: 'The symbol is taken',
    meaning: 'Another instrument has this symbol.',
    mend: 'Use that instrument, or choose another symbol.',
  },
  'series-taken': {
    status: 409,
    title: 'The key is taken',
    meaning: 'Another series has this key.',
    mend: 'Use that series, or choose another key.',
  },
  'name-taken': {
    status: 409,
    title: "The name looks like another analyst's",
    meaning:
      "Versions show the name of their author, so no new name may look like that of another analyst. Names look alike if they differ only in upper and lower case, in letters of other scripts that look the same, or in characters that can't be seen. Nothing was stored.",
    mend: 'For another key of that analyst, send the name exactly as `detail` gives it. For another analyst, choose a name that looks different.',
  },
  'last-admin-key': {
    status: 409,
    title: "The last admin key can't be revoked here",
    meaning:
      'Without an admin key, nobody can issue keys. Another admin key that expires within an hour does not count. Nothing was changed.',
    mend: 'Issue another admin key first. To revoke the last one all the same, run `npm run keys -- revoke ID` on the machine of the service.',
  },
  'closes-named': {
    status: 409,
    title: 'The instrument already has a series of closes',
    meaning: "An instrument's series of closes can be set only once.",
    mend: 'Send observations to the series that `detail` names, or create another instrument.',
  },
  'no-closes': {
    status: 409,
    title: 'The instrument has no series of closes',
    meaning:
      "Drawdowns are computed from closes, but the outlook's instrument has no series of closes.",
    mend: 'Set one with PATCH /v1/instruments/{symbol}: {"closes": "<key of a series>"}.',
  },
  'outlook-closed': {
    status: 409,
    title: 'The outlook is closed',
    meaning: 'The outlook is resolved, void or withdrawn, so it can no longer change.',
    mend: 'Create a new outlook for a new view.',
  },
  'horizon-ended': {
    status: 409,
    title: 'The horizon is over',
    meaning:
      'The horizon is over, so the outlook accepts no further version, framework, view or consensus. Nothing was stored.',
    mend: 'Record the outcome with POST /v1/outlooks/{slug}/resolution. Evidence and a withdrawal are still accepted. For a later horizon, create a new outlook.',
  },
  'already-resolved': {
    status: 409,
    title: 'The outlook is already resolved',
    meaning:
      'The outlook has a resolution, and the request does not name it as the one to correct.',
    mend: 'Read GET …/resolution. If it is wrong, send its number as `supersedes` and explain the correction in `reason`. The old resolution stays on record.',
  },
  'idempotency-key-in-flight': {
    status: 409,
    title: 'The same request is in progress',
    meaning: 'An earlier request with the same Idempotency-Key has not finished yet.',
    mend: 'Wait for the seconds in `Retry-After` and send it again. You get the response to the first request.',
  },
  'no-views': {
    status: 409,
    title: 'No analyst holds a view',
    meaning:
      'A consensus pools the views that analysts hold, and this outlook has none: nobody recorded one, all are withdrawn, or all are older than `maxAge`.',
    mend: 'Record a view with PUT /v1/outlooks/{slug}/views/me. If views are too old for `maxAge`, choose a greater one or leave it out.',
  },
  'too-few-views': {
    status: 404,
    title: 'Too few analysts hold a view',
    meaning:
      'Without a key, the consensus is shown from three views on, because with fewer it would reveal who holds which. It pools the views that were held at the last midnight (UTC).',
    mend: 'Send a key, or come back once more analysts hold a view.',
  },
  'no-weights': {
    status: 409,
    title: 'No view has any weight',
    meaning:
      'Skill weights come from the track records of the analysts who hold a view. None of these analysts has been scored, or none did better than the reference: climatology, or uniform thirds where there is none.',
    mend: 'Use `weights=equal` or `weights=recency`.',
  },
  'no-pool': {
    status: 409,
    title: 'The logarithmic pool does not exist',
    meaning:
      'In a logarithmic pool, a view with probability 0 for a scenario rules that scenario out. Together, the views rule out all three.',
    mend: 'Use `method=linear`.',
  },
  'precondition-failed': {
    status: 412,
    title: 'The resource has changed since you read it',
    meaning:
      '`If-Match` does not name the current ETag. For a write, that is the ETag of the outlook. For a read, it is the ETag of this URL in the content coding of the response.',
    mend: 'Read the resource again. For a write, check that your change is still right, and send it with the new ETag of the outlook.',
  },
  'weak-etag': {
    status: 412,
    title: 'The ETag in If-Match is weak',
    meaning:
      '`If-Match` has the current ETag with `W/` before it. A weak ETag never matches (RFC 9110, section 13.1.1). The service sends strong ones to those who write: a proxy between you and the service has weakened it, as some do when they compress responses.',
    mend: 'Send the ETag without `W/`, or let the proxy pass on responses of the service as they are: it compresses them itself.',
  },
  'body-too-large': {
    status: 413,
    title: 'The body is too large',
    meaning: 'The body exceeds the limit that `detail` gives.',
    mend: 'Send a smaller body.',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The content type is not supported',
    meaning:
      'This URL does not accept the media type in the `Content-Type` header, or the content coding in the `Content-Encoding` header.',
    mend: 'Send the content type that `detail` names, or the body without a content coding.',
  },
  'range-not-satisfiable': {
    status: 416,
    title: 'The range is beyond the end',
    meaning: 'The file has no bytes in the range that the `Range` header names.',
    mend: 'Leave the header out to get the whole file.',
  },
  'expectation-failed': {
    status: 417,
    title: 'The expectation cannot be met',
    meaning:
      'The `Expect` header asks for something other than `100-continue`. Nothing was stored.',
    mend: 'Leave the header out, or send `Expect: 100-continue`.',
  },
  'invalid-request': {
    status: 422,
    title: 'Validation failed',
    meaning: 'Some fields of the request are not valid. Nothing was stored.',
    mend: 'Each entry of `errors` points to one field (a JSON Pointer into the body, or into the part of the request that `in` names) and says how to fix it.',
  },
  'probability-sum': {
    status: 422,
    title: 'Probabilities must sum to 1',
    meaning:
      'The three probabilities do not sum to exactly 1. The service neither rounds nor normalises them: the ledger would then hold probabilities that nobody chose.',
    mend: 'Subtract `excess` from one or more of the three. If it is negative, add the difference.',
  },
  'no-change': {
    status: 422,
    title: 'The revision changes nothing',
    meaning: 'The request equals the current version, so there is nothing to publish.',
    mend: 'Change a probability or the framework. To publish the same probabilities with a new rationale, send `"reaffirm": true`.',
  },
  'idempotency-key-reused': {
    status: 422,
    title: 'The Idempotency-Key belongs to another request',
    meaning:
      'The Idempotency-Key was already used with another method, URL, body, API key or token. Nothing was stored.',
    mend: 'Use a new Idempotency-Key, such as a UUID, for each request. Reuse it only to retry that request.',
  },
  'reason-required': {
    status: 422,
    title: 'The resolution needs a reason',
    meaning:
      'A reason is required to resolve an outlook before its horizon ends or before the last close of the horizon is in, to declare it void, to correct or take back a resolution, and to state an earlier `knownAt`. Nothing was stored.',
    mend: 'Send the reason as `reason`. It is shown with the resolution.',
  },
  'outcome-contradicted': {
    status: 422,
    title: 'The return contradicts the outcome',
    meaning:
      "The return over the horizon, from the instrument's closes or as sent, falls into another scenario's return band than the outcome's. Nothing was stored.",
    mend: 'Leave `outcome` out to use the closes, send the outcome that matches the return, or send a `reason`.',
  },
  'unknown-event': {
    status: 422,
    title: 'No event has this id',
    meaning:
      'The text sent as the id of the last event cannot be one. An id is a position, or a position and a part of a digest such as `138-5f0c91ab`, as streams send it. With the id of an event that the ledger does not have, a stream begins with the event `stream.reset` instead.',
    mend: 'Send the last `id` of a stream unchanged, or open the stream without an id.',
  },
  'too-many-streams': {
    status: 429,
    title: 'Too many event streams',
    meaning: 'The number of event streams that one address may have open is limited.',
    mend: 'Share one stream between the parts of a page or the tabs of a browser, or close some.',
  },
  'rate-limited': {
    status: 429,
    title: 'Too many requests',
    meaning:
      'Each address and each key may send a limited number of requests a minute (see `RateLimit-Policy`), and each address may have a limited number in progress. A connection may have 16 unanswered requests. Each address and each key also has a budget of work, beyond which its requests wait, and too many of them are refused. `detail` says which limit it is. Nothing was stored.',
    mend: 'Wait for the seconds in `Retry-After` and send the request again. `RateLimit` says with each response how many requests are left (`r`) for how many seconds (`t`).',
  },
  'condition-unanswered': {
    status: 422,
    title: 'A triggered condition needs an answer',
    meaning:
      'A condition that invalidates a scenario has been triggered, and no version has answered it yet. The next version must answer it. Nothing was stored.',
    mend: 'For each entry of `conditions`, lower the probability of the scenario that it invalidates, or add `{"condition": "<its key>", "reason": "why the probability stays"}` to `acknowledges`. `"reaffirm": true` answers all of them and keeps all probabilities.',
  },
  'internal-error': {
    status: 500,
    title: 'Internal error',
    meaning: 'The service hit an unexpected error.',
    mend: 'A write may or may not have been stored: read the resource before you try again. If the error persists, send the `X-Request-Id` of the response to the operator of the service.',
  },
  'not-implemented': {
    status: 501,
    title: 'Not implemented',
    meaning:
      'No URL of the service has the method of the request, or the service does not know its transfer coding. Nothing was stored.',
    mend: 'Use one of the methods that /docs lists, in upper case. Send the body with a Content-Length, or with `Transfer-Encoding: chunked`.',
  },
  unavailable: {
    status: 503,
    title: 'Temporarily unavailable',
    meaning: 'The database is unreachable, or the service is starting or stopping.',
    mend: 'Try again after the seconds in `Retry-After`. A write that got no success response may or may not have been stored: send it again with the same `Idempotency-Key`, or read the outlook first.',
  },
  overloaded: {
    status: 503,
    title: 'The service is overloaded',
    meaning: 'The service is handling as many requests as it can. Nothing was stored.',
    mend: 'Try again after the seconds in `Retry-After`.',
  },
  'read-only': {
    status: 503,
    title: 'The ledger is read-only',
    meaning:
      'The database is read-only, for example during a failover. Reads still work. Nothing was stored.',
    mend: 'Try again after the seconds in `Retry-After`.',
  },
  'storage-full': {
    status: 503,
    title: 'The disk is full',
    meaning:
      "The database's disk is full. Reads still work, and writes resume once the operator has freed space. Nothing was stored.",
    mend: 'Try again after the seconds in `Retry-After`.',
  },
} as const satisfies Record<
  string,
  { status: number; title: string; meaning: string; mend: string }
>;

export type ProblemCode = keyof typeof PROBLEMS;
