import { z } from 'zod';
import { VISIBILITIES } from '../../domain/desks.ts';
import { analystLine, slug, timestamp } from '../../http/fields.ts';

const name = analystLine.meta({
  description:
    'Stored in the Unicode form NFKC. It must not look like the name of another desk, nor contain characters that cannot be seen.',
});

export const newDesk = z
  .strictObject({
    slug: slug.meta({ description: 'Its name in URLs and requests. It never changes.' }),
    name,
  })
  .meta({
    id: 'DeskInput',
    description: 'A new desk.',
    examples: [{ slug: 'rates', name: 'Rates desk' }],
  });

export const deskPatch = z
  .strictObject({ name })
  .meta({ id: 'DeskPatchInput', description: 'The new name of a desk.' });

export const desk = z
  .object({ slug, name: z.string(), createdAt: timestamp })
  .meta({ id: 'Desk', description: 'A group of analysts that answers for outlooks and series.' });

/** The desk of an outlook or a series, in a response. */
export const deskName = z
  .object({ slug, name: z.string() })
  .meta({ id: 'DeskName', description: 'The desk that answers for it, for good.' });

export const visibility = z.enum(VISIBILITIES).meta({
  description:
    '`internal`: only for keys and tokens of its desk, of all desks, and for admins; nobody else learns that it exists. `public`: for everyone, for good.',
});

/** The desk of a new outlook or series, in a request; in the form of responses, too, so that one can be sent back. */
export const deskChoice = z.preprocess(slugIn, slug).optional().meta({
  description:
    'The slug of the desk that answers for it, for good. It may be left out if your key or token acts for only one desk.',
});

function slugIn(sent: unknown): unknown {
  const { data } = deskName.safeParse(sent);
  return data ? data.slug : sent;
}
