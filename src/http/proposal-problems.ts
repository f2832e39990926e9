/** The problems of proposals and policies; see problem-catalogue.ts. */
export const PROPOSAL_PROBLEMS = {
  'own-proposal': {
    status: 403,
    title: 'It is your own proposal',
    meaning:
      'A proposal is approved or returned by an analyst other than its author, whichever key they use. Nothing was stored.',
    mend: 'Ask another analyst of the desk. To change your proposal, send another draft; to give it up, discard it.',
  },
  'author-only': {
    status: 403,
    title: 'Only its author may do this',
    meaning: 'Only the author of a proposal may edit, submit or discard it. Nothing was stored.',
    mend: 'Ask the author, return the proposal with a reason, or open a proposal of your own.',
  },
  'own-forecast': {
    status: 403,
    title: 'You forecast this outlook',
    meaning:
      "The desk's policy does not let an analyst resolve an outlook that they forecast, with a version or a view. Nothing was stored.",
    mend: 'Ask an analyst of the desk who did not forecast it to resolve it.',
  },
  'policy-unsatisfiable': {
    status: 409,
    title: 'Too few analysts could approve',
    meaning:
      'The policy asks for more approvals than the other analysts of the desk could give an author. Nothing was changed.',
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
      'The request names a draft that is not the newest one. `changes` points to what differs between the two. Nothing was stored.',
    mend: 'Read the newest draft, and send its number.',
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
      'The proposal is published or discarded, so nothing can be added to it. Nothing was stored.',
    mend: 'Read what it published, or open another proposal.',
  },
  'proposal-full': {
    status: 409,
    title: 'The proposal is full',
    meaning:
      'A proposal has at most 100 drafts, 8 MiB of text, 500 comments and 1,000 steps. Nothing was stored.',
    mend: 'Discard it, and open another proposal with the newest draft.',
  },
  'too-many-proposals': {
    status: 409,
    title: 'Too many open proposals',
    meaning:
      'An analyst may have at most 200 proposals that are neither published nor discarded. Nothing was stored.',
    mend: 'Discard some of yours: GET /v1/proposals?author=… lists them.',
  },
} as const;
