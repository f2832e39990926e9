import { type LedgerEvent, followEvents } from '../event-stream.ts';
import { delta, fraction, moment, styled } from '../layout.ts';
import { type Program, SCENARIOS, text } from '../options.ts';
import { answer, tell } from '../output.ts';
import { serviceAt } from '../api-client.ts';
import { plain } from '../terminal-text.ts';

export function watchCommand(program: Program): Program {
  return program.command(
    'watch [slug]',
    'Tell what happens, as it happens, until Ctrl-C',
    (command) => command.positional('slug', text('the outlook; all of them unless it is given')),
    async (argv) => {
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.once(signal, () => stop.abort());
      }
      const events = followEvents(serviceAt(argv.url), {
        slug: argv.slug,
        signal: stop.signal,
        onOpen: (id) => tell(`Watching from event ${id} on; Ctrl-C ends.`),
        onLost: () => tell('The connection was lost; going on as soon as there is one.'),
      });
      for await (const event of events) answer(argv, event, () => lineOf(event));
    },
  );
}

/** What events of all kinds may hold, as the service's document tells it in prose; later kinds hold other things. */
type Told = Partial<{
  slug: string;
  version: number;
  publishedAt: string;
  changedAt: string;
  dueAt: string;
  resolvedAt: string;
  recordedAt: string;
  addedAt: string;
  change: { deltas: Record<string, number> | null };
  probabilities: Record<string, number>;
  reasons: string[];
  status: string;
  condition: { key: string; reason: string };
  resolution: { outcome: string };
  view: { analyst: { name: string } };
  evidence: { headline: string };
  drawdown: { label: string | null; depth: number };
}>;

function lineOf({ event, data }: LedgerEvent): string {
  const told = (data ?? {}) as Told;
  const { publishedAt, changedAt, dueAt, resolvedAt, recordedAt, addedAt } = told;
  const at = publishedAt ?? changedAt ?? dueAt ?? resolvedAt ?? recordedAt ?? addedAt;
  return [
    at === undefined ? '' : plain(moment(at)),
    styled('bold', plain(told.slug ?? '')),
    plain(event),
    plain(detailsOf(told)),
  ].join('  ');
}

function detailsOf(told: Told): string {
  const { version, probabilities, reasons, condition, resolution, view, evidence, drawdown } = told;
  if (probabilities) return `version ${version}: ${movesOf(probabilities, told.change?.deltas)}`;
  if (condition) return `${condition.key}: ${condition.reason}`;
  if (resolution) return resolution.outcome;
  if (evidence) return evidence.headline;
  if (view) return view.analyst.name;
  if (drawdown) return `${drawdown.label ?? 'none'}, ${(drawdown.depth * 100).toFixed(1)} % deep`;
  return reasons?.join(' ') ?? told.status ?? '';
}

function movesOf(
  probabilities: Record<string, number>,
  deltas: Record<string, number> | null | undefined,
): string {
  return SCENARIOS.map((scenario) => {
    const moved = deltas ? ` (${delta(deltas[scenario] ?? 0)})` : '';
    return `${scenario} ${fraction(probabilities[scenario] ?? NaN)}${moved}`;
  }).join(', ');
}
