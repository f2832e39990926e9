import type { OutlookScores } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { formatFraction, heading, paragraph, table } from '../layout.ts';
import {
  asOfOption,
  omitUndefined,
  SCENARIOS,
  slugArgument,
  textOption,
  type Yargs,
} from '../options.ts';
import { printResult } from '../output.ts';

export function scoreCommand(yargs: Yargs): void {
  yargs.command(
    'score <slug>',
    'Show the scores of a resolved outlook and its versions',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({
        reference: textOption(
          'reference of the skill score: uniform, previous, or three fractions such as 0.3,0.4,0.3',
        ),
        'as-of': asOfOption,
      }),
    async (argv) => {
      const query = omitUndefined({ reference: argv.reference, asOf: argv.asOf });
      const scores = await readScores(argv, query);
      printResult(argv, scores, () => formatScores(scores));
    },
  );
}

type ScoresQuery = { reference?: string; asOf?: string; cursor?: string };

/** The scores of all versions: a page has up to 1,000. */
async function readScores(
  { url, slug }: { url: string; slug: string },
  query: ScoresQuery,
): Promise<OutlookScores> {
  const versions: OutlookScores['versions'] = [];
  let cursor: string | null = null;
  for (;;) {
    const sent: ScoresQuery = { ...query, ...(cursor !== null && { cursor }) };
    const params = { path: { slug }, query: sent };
    const page: OutlookScores = dataOrThrow(
      await apiClient(url).GET('/v1/outlooks/{slug}/scores', { params }),
    );
    versions.push(...page.versions);
    cursor = page.nextCursor;
    if (cursor === null) return { ...page, versions };
  }
}

function formatScores(scores: OutlookScores): string {
  const { slug, status, resolution, reference, outlook, versions } = scores;
  const outcome = resolution ? `: ${resolution.outcome}` : '';
  const missing = [outlook, ...versions].flatMap((scored) => scored.missing);
  const reasons = new Set(missing.map(({ reason }) => reason));
  return [
    heading(`${slug}, ${status}${outcome}`),
    scoreTable(scores),
    paragraph(
      `Brier, Log and RPS: lower is better, 0 is perfect. Skill compares Brier with ${reference.name}: 1 is perfect, 0 is no better.`,
    ),
    ...[...reasons].map((reason) => paragraph(`missing: ${reason}`)),
  ].join('\n');
}

function scoreTable({ outlook, versions }: OutlookScores): string {
  const titles = ['Version', ...SCENARIOS, 'Coverage', 'Brier', 'Log', 'RPS', 'Skill'];
  return table(
    titles.map((title) => ({ title, align: 'right' })),
    [
      ...versions.map(({ version, probabilities, share, scores, skill }) => [
        String(version),
        ...SCENARIOS.map((scenario) => formatFraction(probabilities[scenario])),
        formatPercent(share),
        ...formatFigures(scores, skill),
      ]),
      [
        'all',
        ...SCENARIOS.map(() => ''),
        formatPercent(outlook.coverage),
        ...formatFigures(outlook.timeWeighted, outlook.skill),
      ],
    ],
  );
}

type Scores = OutlookScores['outlook']['mean'];

function formatFigures({ brier, logarithmic, rankedProbability }: Scores, skill: Scores): string[] {
  return [brier, logarithmic, rankedProbability, skill.brier].map((value) =>
    value === null ? '–' : value.toFixed(3),
  );
}

function formatPercent(share: number | null): string {
  return share === null ? '–' : `${(share * 100).toFixed(0)} %`;
}
