export const TAGS = [
  { name: 'Outlooks', description: 'Publish, find and read outlooks.' },
  {
    name: 'Revisions',
    description: 'Change the probabilities or the wording. Each change publishes a new version.',
  },
  { name: 'Versions', description: 'Read earlier versions and compare them.' },
  { name: 'Charts', description: 'Outlooks as SVG or PNG, for articles and pages.' },
  { name: 'Evidence', description: 'The news and data that bear on an outlook.' },
  {
    name: 'Conditions',
    description: 'What would prove a scenario wrong, and whether it has happened.',
  },
  { name: 'Resolution', description: 'Record the outcome and read how each version scored.' },
  { name: 'Views', description: "Each analyst's own view of an outlook, and their consensus." },
  { name: 'Analysts', description: 'Who publishes versions and views, and which.' },
  { name: 'Track records', description: 'How accurate past forecasts were.' },
  {
    name: 'Desks',
    description: 'The groups of analysts that answer for outlooks and series.',
  },
  {
    name: 'Proposals',
    description: 'Requests that others look at before they are carried out.',
  },
  { name: 'Series', description: 'Prices and indicators, as they were known at any time.' },
  { name: 'Events', description: 'Changes in the ledger, streamed as they happen.' },
  { name: 'Inbox', description: 'What waits for you and your desks.' },
  { name: 'Webhooks', description: 'Events posted to a URL. For admins.' },
  { name: 'Feeds', description: 'New versions and outcomes for feed readers.' },
  { name: 'Export', description: 'Everything in one response.' },
  { name: 'Instruments', description: 'The indices, shares and other things that outlooks cover.' },
  {
    name: 'Transparency log',
    description: 'A transparency log of all writes, which anybody can check with existing tools.',
  },
  {
    name: 'Keys',
    description: 'API keys and the audit trail, for admins; and whose key you have, for every key.',
  },
  { name: 'Problems', description: 'What each error means and how to fix the request.' },
  { name: 'Service', description: 'Whether the service is alive and ready.' },
];

export const API_DESCRIPTION = `Market outlooks as an append-only ledger. An outlook has three scenarios (bear, base, bull) whose
probabilities sum to **exactly 1**, and a framework of text around them. Each change publishes a new
version that records who made it and why. Published versions never change.

**Keys.** Writing, views, proposals and the inbox need a key: press *Authorize* and enter yours (\`olk_…\`). Other reads need none
unless the service is configured to require one, but with one they also show what is internal to its desks.

**Conventions.** Timestamps are RFC 3339 in UTC with milliseconds; a finer one that you send is cut to them, and one
without an offset is an error. Days are \`YYYY-MM-DD\`.
Probabilities are fractions with at most four decimals, a double's noise aside: 35 % is \`0.35\`. Numbers in
JSON are doubles (RFC 8259, section 6; RFC 7493, section 2.2): one beyond ±(2^53 − 1), or one so small that a
double would be 0, is an error that names it. An unknown property or query parameter is an error that names it.
Errors are \`application/problem+json\` (RFC 9457) and list every faulty field at once, each with a JSON
Pointer. Lists return \`{items, nextCursor}\`; send \`nextCursor\` back as \`cursor\` to get the next page. Ignore
members that you do not know: releases may add some.

**Conditions.** \`invalidationConditions\` states what would prove a scenario wrong. The service evaluates a
condition that has a \`rule\` as observations of its series arrive. An analyst assesses a condition that has no rule.
A triggered condition makes a review due (\`review\`). The next version must answer it: either lower the
probability of the scenario that it invalidates, or give a reason in \`acknowledges\`.

**Scores.** Once an outlook is resolved, by the closes of its instrument or by an analyst, three proper scoring
rules score each version. The outlook's scores are their means, weighted by how long each version was current. An
analyst's scores form a track record; \`asOf\` returns it as it was at any time, so nobody can improve it afterwards.
Lower is better: 0 is perfect. A score that is infinite or cannot be computed is null, and \`missing\` says why.

**Caching.** Every GET except an event stream returns a strong ETag, a different one for each content coding (br,
gzip); a CSV of more than 1 MiB and the export have a weak one. Send it back as \`If-None-Match\` to get a 304. The current version reflects every change that the answering
instance has received; pass \`minVersion\` to require at least that version. Send the ETag as \`If-Match\` with
a revision to get a 412 if the outlook has changed since you read it.

**Headers.** Responses are compressed with br or gzip, whichever \`Accept-Encoding\` gives the higher weight. Send
bodies uncompressed: one with a \`Content-Encoding\` gets a 415, but observations may have gzip. A missing or invalid \`Host\` gets a 400, as does a
repeated \`Host\`, \`Authorization\`, \`Content-Type\` or \`Idempotency-Key\`. An expectation other than
\`100-continue\` gets a 417, and a method or a transfer coding that the service does not know a 501.

While the database is unreachable, reads may be served from the cache: \`Age\` says how many seconds ago the
service last heard from the ledger, and \`Cache-Status\` says \`STALE\`.

**Limits.** Each address and each key may send a limited number of requests a minute. \`RateLimit-Policy\` gives
the limit and \`RateLimit\` what is left. Requests above it get a 429 with \`Retry-After\`. The service also measures
the work that the requests of each address and each key cause, and gives each a budget. Requests beyond the budget
wait for a turn. They get a 429 with \`Retry-After\` if too many of them wait, or if one waits for 5 seconds.

**The hash chain.** Note a version's \`hash\`, and you can later prove that neither it nor any version
before it was rewritten. Both hashes are \`sha256:\` and the hex SHA-256 of a canonical JSON document
(RFC 8785) in UTF-8:

- \`frameworkHash\`: the members \`title\`, \`summary\`, \`methodology\`, \`disclaimer\`, \`scenarios\` (each without
  \`probability\`), \`headwinds\`, \`drawdownLabels\`, \`invalidationConditions\` (each without \`state\`), \`risks\`,
  \`positioning\`, \`metrics\`, \`faqs\`, \`references\`, \`horizon\`, and \`instrument\` (its symbol, as text). Leave out
  null members and empty lists, at every depth.
- \`hash\`: \`slug\`, \`version\`, \`publishedAt\`, \`authorId\` (\`author.id\`), \`rationale\`, \`kind\` (\`change.kind\`),
  \`probabilities\` (\`{bear, base, bull}\` in basis points: 0.35 is 3500), \`frameworkHash\` and \`previousHash\`
  (null on version 1).`;

/** The description of a status where the route gives none. */
export const STATUS_TEXTS: Record<string, string> = {
  200: 'OK.',
  201: 'Created. Returns the whole representation.',
  202: 'The policy of the desk asks for approval, so the request became a proposal. Returns it.',
  204: 'Done. The response has no body.',
  304: "Not modified: the client's copy is current.",
  400: 'The request cannot be parsed.',
  401: 'The key is missing, unknown, expired or revoked.',
  403: "The key's role does not allow this.",
  404: 'Not found.',
  406: 'The `Accept` header excludes every available media type.',
  408: 'The request took too long to arrive.',
  409: 'The request conflicts with the current state.',
  410: 'Erased.',
  412: 'The resource has changed since you read it: `If-Match` does not name its current ETag. Or a proxy has weakened the ETag.',
  413: 'The body exceeds the limit: 1 MiB, or 4 MiB for observations.',
  415: 'The content type or the content coding is not supported.',
  417: 'The expectation is not supported.',
  422: 'Validation failed; see `errors`.',
  429: 'Too many requests; try again after `Retry-After` seconds.',
  431: 'The headers exceed 16 KiB.',
  500: 'Internal error.',
  501: 'The transfer coding is not supported.',
  503: 'Temporarily unavailable; try again after `Retry-After` seconds.',
};
