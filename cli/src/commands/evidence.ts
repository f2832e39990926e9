import type { Evidence, NewEvidence } from '@outlook-ledger/client';
import { dataOf } from '../errors.ts';
import { readJsonObject } from '../input-files.ts';
import { heading, moment, paragraph, table } from '../layout.ts';
import { given, number, type Program, slug, text } from '../options.ts';
import { answer } from '../output.ts';
import { walk } from '../paging.ts';
import { serviceAt } from '../api-client.ts';

export function evidenceCommand(program: Program): Program {
  return program.command('evidence', 'List or add evidence', (command) => {
    listCommand(command);
    return addCommand(command).demandCommand(1, 'Say "evidence list" or "evidence add".');
  });
}

function listCommand(program: Program): Program {
  return program.command(
    'list <slug>',
    'List the evidence of an outlook, newest first, with the ids to cite it by',
    (command) =>
      command
        .positional('slug', slug)
        .option('limit', number('at most so many; all of them unless it is given')),
    async (argv) => {
      const { client } = serviceAt(argv.url);
      const path = { slug: argv.slug };
      const found = await walk(argv.limit ?? Infinity, async (query) =>
        dataOf(await client.GET('/v1/outlooks/{slug}/evidence', { params: { path, query } })),
      );
      answer(argv, found, () => listOf(found.items));
    },
  );
}

function addCommand(program: Program): Program {
  return program.command(
    'add <slug>',
    'Add evidence, from options, a file, or both',
    (command) =>
      command.positional('slug', slug).options({
        file: text(
          'a JSON file with an item as the API takes it, or -; options go before what it says',
        ),
        headline: text('what it is, in a line'),
        summary: text('what it says'),
        publisher: text('who published it'),
        'published-at': text('when, such as 2026-11-20T22:00:00Z'),
        link: text('the URL where it stands'),
        corrects: text('the id of the item that it corrects'),
      }),
    async (argv) => {
      const { client } = serviceAt(argv.url);
      const { headline, summary, publisher, publishedAt, link: url, corrects } = argv;
      const options = given({ headline, summary, publisher, publishedAt, url, corrects });
      const file = argv.file === undefined ? {} : await readJsonObject(argv.file);
      // The service tells what is missing, all at once.
      const body = { ...file, ...options } as NewEvidence;
      const params = { path: { slug: argv.slug } };
      const added = dataOf(await client.POST('/v1/outlooks/{slug}/evidence', { params, body }));
      answer(argv, added, () => addedOf(added));
    },
  );
}

function listOf(items: readonly Evidence[]): string {
  if (items.length === 0) return 'There is no evidence.';
  return table(
    [{ title: 'Id' }, { title: 'Published' }, { title: 'Headline', wraps: true }],
    items.map(({ id, publishedAt, headline }) => [id, moment(publishedAt), headline]),
  );
}

function addedOf({ id, headline, claims }: Evidence): string {
  return [
    heading(`Added: ${headline}`),
    paragraph(`${claims.length} claims. A revision cites it with --evidence ${id}`),
  ].join('\n');
}
