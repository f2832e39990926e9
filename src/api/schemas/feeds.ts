import { z } from 'zod';
import { timestamp } from '../../http/fields.ts';

const address = z.string().meta({ format: 'uri' });

export const jsonFeed = z
  .object({
    version: z.literal('https://jsonfeed.org/version/1.1'),
    title: z.string(),
    home_page_url: address,
    feed_url: address,
    language: z.string(),
    items: z.array(
      z
        .object({
          id: address,
          url: address,
          title: z.string(),
          content_text: z.string(),
          image: address,
          date_published: timestamp,
          authors: z.array(z.object({ name: z.string() })),
        })
        .meta({ id: 'JsonFeedItem', description: 'A version or a resolution as a feed entry.' }),
    ),
  })
  .meta({ id: 'JsonFeed', description: 'JSON Feed 1.1 (jsonfeed.org).' });
