import { z } from 'zod';
import { prose, slug, symbol, versionNumber } from '../../http/fields.ts';
import { deskChoice, visibility } from './desks.ts';
import { newFrameworkShape } from './frameworks.ts';
import { newHorizon } from './horizon.ts';
import { newProbabilities } from './probabilities.ts';

/** The version that a new outlook is a clone of. */
export const cloneSource = z.strictObject({
  from: z
    .strictObject({
      slug: slug.meta({ description: 'The slug of the outlook to clone.' }),
      version: versionNumber.optional().meta({
        description: 'The version to clone. Left out: the current one.',
      }),
    })
    .meta({ id: 'CloneSourceInput', description: 'The outlook that a new one is a clone of.' }),
});

export const newOutlook = z.strictObject({
  slug: slug.optional().meta({
    description: "The outlook's name in URLs. It never changes. Left out: made from the title.",
  }),
  instrument: symbol.meta({ description: 'The symbol of an existing instrument.' }),
  horizon: newHorizon,
  probabilities: newProbabilities,
  rationale: prose.meta({ description: 'Why the desk publishes this outlook.' }),
  continues: slug.nullable().default(null).meta({
    description:
      'The slug of the outlook that this one continues: on the same instrument, over a horizon that ends later. Null, or left out: none.',
  }),
  desk: deskChoice.meta({
    description:
      'The slug of the desk that answers for the outlook, for good. It may be left out if your key or token acts for only one desk, or with `continues`: then it is the desk of that outlook.',
  }),
  visibility: visibility.optional().meta({
    description:
      '`internal`: only for keys and tokens of its desk, of all desks, and for admins. Left out: that of the outlook that it continues or clones, otherwise `public`.',
  }),
  from: cloneSource.shape.from.optional().meta({
    description:
      'Clones a version: the new outlook gets its instrument, horizon, probabilities and framework, except for the members that the request has.',
  }),
  ...newFrameworkShape,
});

/** What a request for an outlook may contain. For the document only: validation checks the outlook that results. */
export const outlookRequest = newOutlook.partial().required({ rationale: true }).meta({
  id: 'OutlookInput',
  description:
    'A new outlook: its framework, probabilities and rationale. `from` supplies the members that are left out; without it, `instrument`, `horizon`, `probabilities`, `title`, `summary` and `scenarios` are required.',
});
