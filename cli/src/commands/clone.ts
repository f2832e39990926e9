import type { Outlook, Probabilities } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow, UsageError } from '../errors.ts';
import { heading, lastDayOf, paragraph } from '../layout.ts';
import {
  numberOption,
  omitUndefined,
  slugArgument,
  textOption,
  type Yargs,
  yesOption,
} from '../options.ts';
import { printResult, requireConfirmation, requireTerminal } from '../output.ts';
import { probabilityBars } from '../probabilities.ts';
import { formatProposal, isProposal } from '../proposals.ts';

const probabilityOption = (scenario: string) =>
  numberOption(`probability of the ${scenario} scenario, instead of that of the source`);

export function cloneCommand(yargs: Yargs): void {
  yargs.command(
    'clone <slug> <new-slug>',
    'Publish a new outlook with the content of another, for example over the next horizon',
    (yargs) =>
      yargs
        .positional('slug', slugArgument)
        .positional('new-slug', {
          type: 'string',
          demandOption: true,
          describe: 'slug of the new outlook',
        })
        .options({
          version: numberOption('version to clone; the current one if omitted'),
          continues: {
            type: 'boolean',
            default: false,
            describe: 'roll the outlook over: the new one continues it over a later horizon',
          },
          title: textOption('title of the new outlook'),
          from: textOption('first day of its horizon, such as 2027-03-31'),
          to: textOption('the day after the last one of its horizon'),
          bear: probabilityOption('bear'),
          base: probabilityOption('base'),
          bull: probabilityOption('bull'),
          why: { ...textOption('rationale: why it is published'), demandOption: true },
          yes: yesOption,
        })
        .implies({ from: 'to', to: 'from' }),
    async (argv) => {
      requireTerminal(argv);
      const client = apiClient(argv.url);
      const { slug, newSlug, version, title, from, to, why: rationale } = argv;
      if (version !== undefined && !Number.isInteger(version)) {
        throw new UsageError('--version must be a whole number.');
      }
      const horizon = from !== undefined && to !== undefined ? { from, to } : undefined;
      const replaced = omitUndefined({ title, horizon, probabilities: probabilitiesFrom(argv) });
      if (!argv.yes) {
        const source = dataOrThrow(
          await (version === undefined
            ? client.GET('/v1/outlooks/{slug}', { params: { path: { slug } } })
            : client.GET('/v1/outlooks/{slug}/versions/{version}', {
                params: { path: { slug, version } },
              })),
        );
        await requireConfirmation(
          argv,
          formatPreview({ ...source, ...replaced, slug: newSlug }),
          'Publish this outlook?',
        );
      }
      const created = dataOrThrow(
        await client.POST('/v1/outlooks', {
          body: {
            ...replaced,
            from: { slug, ...omitUndefined({ version }) },
            slug: newSlug,
            rationale,
            continues: argv.continues ? slug : null,
          },
        }),
      );
      printResult(argv, created, () =>
        isProposal(created)
          ? formatProposal(created)
          : [heading(`Published ${created.slug}.`), formatPreview(created)].join('\n'),
      );
    },
  );
}

/**
 * The three probabilities; undefined if none is given.
 * @throws UsageError if only some are
 */
function probabilitiesFrom(argv: {
  [Scenario in keyof Probabilities]: number | undefined;
}): Probabilities | undefined {
  const { bear, base, bull } = argv;
  if (bear === undefined && base === undefined && bull === undefined) return undefined;
  if (bear !== undefined && base !== undefined && bull !== undefined) return { bear, base, bull };
  throw new UsageError('Give --bear, --base and --bull together, or none of them.');
}

function formatPreview(
  outlook: Pick<Outlook, 'slug' | 'title' | 'instrument' | 'horizon' | 'probabilities'>,
): string {
  const { slug, title, instrument, horizon, probabilities } = outlook;
  return [
    heading(`${title} (${slug})`),
    paragraph(`${instrument.symbol} · ${horizon.from} to ${lastDayOf(horizon)}`),
    probabilityBars(probabilities, null),
  ].join('\n');
}
