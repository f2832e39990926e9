export const TAGS = [
  {
    name: 'Outlooks',
    description: 'Publish an outlook, find outlooks, read the view that stands now.',
  },
  {
    name: 'Revisions',
    description: 'Change the probabilities or the wording: a new version each.',
  },
  { name: 'Versions', description: 'What an outlook said before, and how each version differs.' },
  { name: 'Charts', description: 'The same as pictures, for articles and pages.' },
  { name: 'Evidence', description: 'The news and data that move an outlook.' },
  {
    name: 'Conditions',
    description: 'What would show a scenario to be wrong, and where it stands.',
  },
  {
    name: 'Resolution',
    description: 'What came about, and how each version scores by it.',
  },
  {
    name: 'Views',
    description: 'What single analysts think, and what their views add up to.',
  },
  { name: 'Track records', description: 'How forecasts did that are scored.' },
  { name: 'Series', description: 'Prices and indicators, as they were known at any time.' },
  { name: 'Events', description: 'What happens in the ledger, as it happens.' },
  { name: 'Webhooks', description: 'Who is told of events, at an address of theirs. For admins.' },
  { name: 'Feeds', description: 'New versions for feed readers.' },
  { name: 'Instruments', description: 'What outlooks are about.' },
  { name: 'Keys', description: 'Who may write. For admins.' },
  { name: 'Problems', description: 'What refusals mean and how to mend them.' },
  { name: 'Service', description: 'Whether the service is alive and ready.' },
];

export const API_DESCRIPTION = `Market outlooks as an append-only ledger. An outlook holds three scenarios (bear, base, bull) whose
probabilities sum to **exactly 1**, and the framework around them. Each change is a new version that
says who made it and why; no version is ever altered.

**Reading** needs no key unless the service is set to ask for one. **Writing** needs one: press
*Authorize* and enter it (\`olk_…\`).

**Conventions.** Timestamps are RFC 3339 in UTC with milliseconds, days are \`YYYY-MM-DD\`.
Probabilities are fractions with at most four decimals: 35 % is \`0.35\`. An unknown property or query
parameter is refused by name. Refusals are \`application/problem+json\` (RFC 9457) and tell all faulty
fields at once, each by a JSON Pointer. Lists answer \`{items, nextCursor}\`; pass \`nextCursor\` back as
\`cursor\`. Clients should ignore members that they do not know: releases add some.

**Conditions.** What would show a scenario to be wrong stands in \`invalidationConditions\`. A condition with a
\`rule\` is judged by the observations of its series as they come in; one without is assessed by an
analyst. Once triggered, it makes a review due (\`review\`), and the next version has to answer it: by less weight
for the scenario that it invalidates, or by a reason in \`acknowledges\`.

**Scores.** Once an outlook is resolved (by the closes of its instrument, or by an analyst), each version is scored
by three proper scoring rules, the outlook by their means over the time that each version stood, and
whoever wrote them by a track record, which \`asOf\` keeps from being prettified. Lower is better: 0 is
perfect. A score that is infinite, or that there is not, is null, and \`missing\` says why.

**Caching.** Every GET but an event stream answers a strong ETag, another for each content coding (br,
gzip); send it back as \`If-None-Match\` to be answered 304. A current view is never older than what
the instance that answers was told; pass \`minVersion\` to be sure of a version. Send an ETag as \`If-Match\` with a revision to be refused (412) where the outlook has changed since.

While the database can't be asked, reads may be answered with what was kept: \`Age\` tells for how many seconds nothing was heard of
the ledger, and \`Cache-Status\` says \`STALE\`.

**Limits.** Each address and each key may send so many requests a minute; \`RateLimit-Policy\` and \`RateLimit\` tell how many, and how
many are left. What exceeds that is answered 429 with \`Retry-After\`.

**The hash chain.** Whoever noted a version's \`hash\` can later prove that neither it nor any version
before it was rewritten. Both hashes are \`sha256:\` and the hex SHA-256 of a canonical JSON document
(RFC 8785) in UTF-8:

- \`frameworkHash\`: the members \`title\`, \`summary\`, \`methodology\`, \`disclaimer\`, \`scenarios\` (each without
  \`probability\`), \`headwinds\`, \`drawdownLabels\`, \`invalidationConditions\` (each without \`state\`), \`risks\`,
  \`positioning\`, \`metrics\`, \`faqs\`, \`references\`, \`horizon\`, and \`instrument\` (its symbol, as text). Members
  that are null and lists that are empty are left out, at every depth.
- \`hash\`: \`slug\`, \`version\`, \`publishedAt\`, \`authorId\` (\`author.id\`), \`rationale\`, \`kind\` (\`change.kind\`),
  \`probabilities\` (\`{bear, base, bull}\` in basis points: 0.35 is 3500), \`frameworkHash\` and \`previousHash\`
  (null on version 1).`;

/** What a status says where the route itself does not. */
export const STATUS_TEXTS: Record<string, string> = {
  200: 'OK.',
  201: 'Created; the whole representation.',
  204: 'Done; there is nothing to answer.',
  304: 'What the client has still stands.',
  400: 'The request cannot be read.',
  401: 'A key is needed, or the one sent is unknown, expired or revoked.',
  403: "The key's role does not allow this.",
  404: 'There is no such thing.',
  406: 'The `Accept` header excludes all that this is served as.',
  409: 'In conflict with what stands.',
  412: 'The outlook has changed since it was read.',
  413: 'The body exceeds the limit: 1 MiB, for observations 4 MiB.',
  415: 'Another content type is needed.',
  422: 'Not acceptable; `errors` says what to mend.',
  429: 'Too much at once; try again after `Retry-After` seconds.',
  500: 'Something went wrong on the side of the service.',
  503: 'Not now; try again after `Retry-After` seconds.',
};
