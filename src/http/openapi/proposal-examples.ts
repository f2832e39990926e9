const body = {
  probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
  rationale: 'Long-term Treasury yields jumped; financing pressure on small caps rises with them.',
};

/** Bodies of requests about proposals and policies; see examples.ts. */
export const PROPOSAL_EXAMPLES = {
  setDeskPolicy: {
    fourEyes: {
      summary: 'A second pair of eyes for all that is published',
      value: {
        approvals: {
          outlook: 1,
          revision: 1,
          framework: 1,
          resolution: 2,
          withdrawal: 1,
          consensus: 1,
        },
        authorMayResolve: false,
      },
    },
  },
  openProposal: {
    revision: {
      summary: 'A revision, to be published at the close of the market',
      value: {
        kind: 'revision',
        outlook: 'russell-2000-downside',
        body,
        note: 'The auction tailed; please look at the base case.',
        publishAt: '2026-11-30T21:00:00.000Z',
      },
    },
    withdrawal: {
      summary: 'A withdrawal, submitted at once',
      value: {
        kind: 'withdrawal',
        outlook: 'russell-2000-downside',
        body: { rationale: 'The index is discontinued.' },
        submit: true,
      },
    },
  },
  editProposal: {
    draft: {
      summary: 'Another draft',
      value: {
        body,
        note: 'Rounded to whole points.',
        publishAt: '2026-11-30T21:00:00.000Z',
      },
    },
  },
  submitProposal: { submission: { summary: 'The newest draft', value: {} } },
  approveProposal: {
    approval: { summary: 'The draft that was read', value: { draft: 1, comment: 'Fits the data.' } },
  },
  returnProposal: {
    words: {
      summary: 'With a reason',
      value: { draft: 1, reason: 'Say what would change your mind.' },
    },
  },
  commentProposal: { comment: { summary: 'A question', value: { text: 'Is the auction in?' } } },
};
