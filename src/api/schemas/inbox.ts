import { z } from 'zod';
import { INBOX_KINDS } from '../../ledger/inbox.ts';
import { slug, timestamp } from '../../http/fields.ts';
import { pageOf } from '../../http/paging.ts';

const inboxKind = z.enum(INBOX_KINDS).meta({
  description:
    '`to-approve`: a proposal of somebody else that you have not approved yet. `returned`: a proposal of yours that was returned. `review-due`: an outlook whose next version must answer a condition. `horizon-over`: an outlook without an outcome. `contradicted`: a resolution that closes contradict. `series-silent`: a series that missed three of its periods, or whose source failed three times in a row.',
});

const inboxItem = z
  .object({
    kind: inboxKind,
    desk: z
      .object({ slug, name: z.string() })
      .meta({ id: 'InboxDesk', description: 'The desk that answers for it.' }),
    outlook: slug.nullable().meta({
      description:
        'The slug of the outlook. Null for a series, and for a proposal of a new outlook.',
    }),
    series: z.string().nullable().meta({ description: 'The key of the series. Null for others.' }),
    proposal: z.uuid().nullable().meta({ description: 'The id of the proposal. Null for others.' }),
    title: z.string().meta({ description: 'The title of the outlook, or the name of the series.' }),
    detail: z.string().nullable().meta({
      description:
        'What is proposed, or why the item is here: the reason of a return, the reasons of a review.',
    }),
    since: timestamp.meta({
      description: 'Since when it waits. Of a series, when its last observation arrived.',
    }),
    url: z.string().meta({ description: 'Where to read it, as a path.' }),
  })
  .meta({ id: 'InboxItem', description: 'Something that waits for you or your desk.' });

export type InboxItemJson = z.output<typeof inboxItem>;

export const inboxPage = pageOf(inboxItem)
  .extend({
    counts: z
      .object(Object.fromEntries(INBOX_KINDS.map((kind) => [kind, z.int().min(0)])))
      .meta({ id: 'InboxCounts', description: 'How many items there are of each kind.' }),
  })
  .meta({ id: 'InboxPage', description: 'A page of your inbox.' });

export const inboxQueryKind = z
  .enum(INBOX_KINDS, { error: `must be one of ${INBOX_KINDS.join(', ')}` })
  .optional()
  .meta({ description: 'Only items of this kind. The counts are of all kinds.' });
