/** The problems of proposals and policies; see problem-catalogue.ts. */
export const PROPOSAL_PROBLEMS = {
  'own-proposal': {
    status: 403,
    title: 'It is your own proposal',
    meaning:
      'Somebody else than its author approves or returns a proposal: keys of the same analyst are of the same person. Nothing was stored.',
    mend: 'Ask another analyst of the desk. To change your proposal, send a new draft; to drop it, discard it.',
  },
  'author-only': {
    status: 403,
    title: 'Only its author may do this',
    meaning: 'Only its author edits, submits or discards a proposal. Nothing was stored.',
    mend: 'Ask the author, return the proposal with words, or propose something else.',
  },
  'own-forecast': {
    status: 403,
    title: 'You forecast this outlook',
    meaning:
      "The desk's policy has outlooks resolved by an analyst who forecast them neither with a version nor with a view. Nothing was stored.",
    mend: 'Ask an analyst of the desk who did not forecast it.',
  },
  'policy-unsatisfiable': {
    status: 409,
    title: 'Nobody could approve enough',
    meaning:
      'The policy asks for more approvals than others than an author could give: too few analysts act for the desk. Nothing was changed.',
    mend: 'Ask for fewer approvals, or issue keys for the desk to more analysts first.',
  },
  'already-approved': {
    status: 409,
    title: 'You approved it already',
    meaning: 'Each analyst approves a draft once, whichever key they use. Nothing was stored.',
    mend: 'Wait for the approvals of others. A proposal that is returned can be approved again.',
  },
  'proposal-changed': {
    status: 409,
    title: 'The draft has changed',
    meaning:
      'The request names an older draft than the newest one. `changes` points to what differs between them. Nothing was stored.',
    mend: 'Read the proposal again, and send the number of the draft that you have read.',
  },
  'proposal-state': {
    status: 409,
    title: 'The proposal is in another state',
    meaning:
      'Only a submitted proposal can be approved or returned, and only a draft or a returned proposal can be submitted. Nothing was stored.',
    mend: 'Read the proposal. Its author submits it with POST …/submission.',
  },
  'proposal-settled': {
    status: 409,
    title: 'The proposal is settled',
    meaning:
      'The proposal is published or discarded, so nothing follows on it. Nothing was stored.',
    mend: 'Read what it published, or propose something new.',
  },
  'proposal-full': {
    status: 409,
    title: 'The proposal is full',
    meaning:
      'A proposal has at most 100 drafts, 8 MiB of text and 500 comments. Nothing was stored.',
    mend: 'Discard it, and propose the newest draft anew.',
  },
  'too-many-proposals': {
    status: 409,
    title: 'Too many open proposals',
    meaning:
      'An analyst may have at most 200 proposals that are neither published nor discarded. Nothing was stored.',
    mend: 'Discard some of yours: GET /v1/proposals?author=… lists them.',
  },
} as const;
