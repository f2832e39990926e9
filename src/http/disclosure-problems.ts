/** The problems of making internal outlooks and series public. */
export const DISCLOSURE_PROBLEMS = {
  'already-public': {
    status: 409,
    title: 'It is public already',
    meaning: 'Only an internal outlook or series can be disclosed. This one is public.',
    mend: 'There is nothing to do.',
  },
  'disclosure-changed': {
    status: 409,
    title: 'More would open than was confirmed',
    meaning:
      'Since `confirm` was read, something was added to what would go public. `disclosure` lists what would open now. Nothing was opened.',
    mend: 'Read `disclosure`, and send its `confirm` if all of it may go public.',
  },
  'series-internal': {
    status: 409,
    title: 'It uses an internal series',
    meaning:
      'A public outlook may use only public series, in all its versions. `disclosure.needs` lists the internal ones. Nothing was opened.',
    mend: 'Make these series public first, with POST /v1/series/{key}/disclosure, or keep the outlook internal.',
  },
} as const;
