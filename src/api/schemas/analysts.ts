import { z } from 'zod';
import { analystLine, slug, withRule } from '../../http/fields.ts';
import { author } from './outlooks.ts';
import { view } from './views.ts';

export const analyst = z
  .object({
    ...author.shape,
    active: z.boolean().meta({
      description:
        'False while the analyst is deactivated: their keys and tokens are refused, and each consensus leaves their views out.',
    }),
  })
  .meta({ id: 'Analyst', description: 'An analyst, who publishes versions and views.' });

export const analystPatch = withRule(
  z.strictObject({
    name: analystLine.optional().meta({
      description:
        'The new name, which also shows on what the analyst wrote before. The log keeps the earlier one, and nobody else gets it.',
    }),
    active: z
      .boolean()
      .optional()
      .meta({ description: 'False deactivates the analyst, true reactivates them.' }),
  }),
  ({ name, active }) =>
    name === undefined && active === undefined
      ? [{ path: [], detail: 'must have a name, active, or both' }]
      : [],
).meta({ id: 'AnalystPatch', description: 'A merge patch of an analyst (RFC 7396).' });

export const analystView = z
  .object({
    slug: slug.meta({ description: 'The slug of the outlook.' }),
    title: z.string().meta({ description: 'The title of the outlook.' }),
    ...view.shape,
  })
  .meta({ id: 'AnalystView', description: 'A view of an analyst, and the outlook that it is of.' });
