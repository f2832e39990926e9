/** The problems of receipts, as http/problem-catalogue.ts has those of all requests. */
export const RECEIPT_PROBLEMS = {
  'no-signed-log': {
    status: 404,
    title: 'The log is not signed',
    meaning:
      'A receipt proves a record by a checkpoint of the transparency log that the service has signed. This service has no key that signs its log.',
    mend: 'Ask the operator of the service to set `LOG_SIGNING_KEY`. GET /v1/log says whether the log is signed.',
  },
  'record-altered': {
    status: 409,
    title: 'The record is not as it was written',
    meaning:
      'A row of the record does not have the hash that the ledger stored when it was written, so no receipt can prove it.',
    mend: 'Tell the operator of the service: `npm run verify` names the rows that were changed. A receipt that you saved earlier proves what was written. If `detail` says that an opening is not valid JSON, a release before migration 0034 wrote it so, and nothing was changed.',
  },
  'opening-erased': {
    status: 410,
    title: 'The proof of this record was erased',
    meaning:
      "The record names a person whose name was erased. What its leaf in the log commits to was deleted with the name, so the record can't be proved any more. The leaf itself is still in the log.",
    mend: 'A receipt that somebody saved before the erasure is still valid.',
  },
  'receipt-not-ready': {
    status: 503,
    title: 'The receipt is not ready yet',
    meaning:
      'No signed checkpoint of the log covers the record yet. A record that was just written is covered within a second or two. A ledger that is older than its log takes longer until all its rows are digested.',
    mend: 'Try again after the seconds in `Retry-After`. If it persists, GET /v1/log says how far the log is signed.',
  },
} as const;
