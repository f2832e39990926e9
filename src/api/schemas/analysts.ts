import { z } from 'zod';
import { slug } from '../../http/fields.ts';
import { author } from './outlooks.ts';
import { view } from './views.ts';

export const analyst = z
  .object(author.shape)
  .meta({ id: 'Analyst', description: 'An analyst, who publishes versions and views.' });

export const analystView = z
  .object({
    slug: slug.meta({ description: 'The slug of the outlook.' }),
    title: z.string().meta({ description: 'The title of the outlook.' }),
    ...view.shape,
  })
  .meta({ id: 'AnalystView', description: 'A view of an analyst, and the outlook that it is of.' });
