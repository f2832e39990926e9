import type { OutlookScores } from '@outlook-ledger/client';
import { dataOf } from '../errors.ts';
import { fraction, heading, paragraph, table } from '../layout.ts';
import { asOf, given, type Program, SCENARIOS, slug, text } from '../options.ts';
import { answer } from '../output.ts';
import { serviceAt } from '../api-client.ts';

const right = (title: string) => ({ title, align: 'right' }) as const;

export function scoreCommand(program: Program): Program {
  return program.command(
    'score <slug>',
    'Show how each version of a resolved outlook scored',
    (command) =>
      command.positional('slug', slug).options({
        reference: text(
          'what skill is against: uniform, previous, or three fractions such as 0.3,0.4,0.3',
        ),
        'as-of': asOf,
      }),
    async (argv) => {
      const { client } = serviceAt(argv.url);
      const query = given({ reference: argv.reference, asOf: argv.asOf });
      const params = { path: { slug: argv.slug }, query };
      const scores = dataOf(await client.GET('/v1/outlooks/{slug}/scores', { params }));
      answer(argv, scores, () => pageOf(scores));
    },
  );
}

function pageOf({ slug, status, resolution, reference, outlook, versions }: OutlookScores): string {
  const outcome = resolution ? `: ${resolution.outcome}` : '';
  const missing = [outlook, ...versions].flatMap((scored) => scored.missing);
  const reasons = new Set(missing.map(({ reason }) => reason));
  return [
    heading(`${slug}, ${status}${outcome}`),
    table(
      [
        right('Version'),
        ...SCENARIOS.map(right),
        right('Stood'),
        ...['Brier', 'Log', 'RPS', 'Skill'].map(right),
      ],
      [
        ...versions.map(({ version, probabilities, share, scores, skill }) => [
          String(version),
          ...SCENARIOS.map((scenario) => fraction(probabilities[scenario])),
          percentOf(share),
          ...figuresOf(scores, skill),
        ]),
        [
          'all',
          '',
          '',
          '',
          percentOf(outlook.coverage),
          ...figuresOf(outlook.timeWeighted, outlook.skill),
        ],
      ],
    ),
    paragraph(
      `Lower is better, 0 is perfect. Skill is of the Brier score against ${reference.name}: 1 is perfect, 0 no better.`,
    ),
    ...[...reasons].map((reason) => paragraph(`missing: ${reason}`)),
  ].join('\n');
}

type Scores = OutlookScores['outlook']['mean'];

function figuresOf({ brier, logarithmic, rankedProbability }: Scores, skill: Scores): string[] {
  return [brier, logarithmic, rankedProbability, skill.brier].map((value) =>
    value === null ? '–' : value.toFixed(3),
  );
}

function percentOf(share: number | null): string {
  return share === null ? '–' : `${(share * 100).toFixed(0)} %`;
}
