import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { table } from '../layout.ts';
import { numberOption, type Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { readPages } from '../paging.ts';

export function analystsCommand(yargs: Yargs): void {
  yargs.command(
    'analysts',
    'List the analysts who have published a version or a view',
    (yargs) => yargs.options({ limit: numberOption('maximum number; all if omitted') }),
    async (argv) => {
      const client = apiClient(argv.url);
      const list = await readPages(argv.limit ?? Infinity, async (page) =>
        dataOrThrow(await client.GET('/v1/analysts', { params: { query: page } })),
      );
      printResult(argv, list, () =>
        list.items.length === 0
          ? 'Nobody has published anything yet.'
          : table(
              [{ title: 'Analyst', wraps: true }, { title: 'Id' }],
              list.items.map(({ id, name }) => [{ text: name, format: 'bold' }, id]),
            ),
      );
    },
  );
}
