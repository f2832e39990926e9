/** The problems of desks and of who acts for them; see problem-catalogue.ts. */
export const DESK_PROBLEMS = {
  'wrong-desk': {
    status: 403,
    title: 'It belongs to another desk',
    meaning:
      'Each outlook and each series belongs to a desk. Only keys and tokens of that desk, or of all desks, may change it. Nothing was stored.',
    mend: 'Use a key of the desk that `detail` names. An admin can issue one. Any analyst may record views and add evidence.',
  },
  'desk-taken': {
    status: 409,
    title: 'The desk exists already',
    meaning:
      'Another desk has this slug, or a name that looks the same. Slugs are never reused. Nothing was stored.',
    mend: 'Use that desk, or change what `errors` points to.',
  },
  'analyst-deactivated': {
    status: 409,
    title: 'The analyst is deactivated',
    meaning: 'No key can be issued to an analyst who is deactivated. Nothing was stored.',
    mend: 'Reactivate the analyst with PATCH /v1/analysts/{id}, or issue the key to another one.',
  },
} as const;
