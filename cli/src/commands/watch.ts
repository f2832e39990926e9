import type { LedgerEvent } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { UnavailableError } from '../errors.ts';
import { formatDelta, formatFraction, formatTime, style } from '../layout.ts';
import { SCENARIOS, textOption, type Yargs } from '../options.ts';
import { printMessage, printResult } from '../output.ts';
import { sanitize } from '../terminal-text.ts';

export function watchCommand(yargs: Yargs): void {
  yargs.command(
    'watch [slug]',
    'Print events as they happen, until Ctrl-C',
    (yargs) => yargs.positional('slug', textOption('slug of the outlook; all outlooks if omitted')),
    async (argv) => {
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.once(signal, () => stop.abort());
      }
      let isOpen = false;
      const events = apiClient(argv.url).subscribe({
        slug: argv.slug,
        signal: stop.signal,
        onOpen: ({ lastEventId }) => {
          isOpen = true;
          printMessage(`Watching for events (last event: ${lastEventId}). Press Ctrl-C to stop.`);
        },
        onDisconnect: ({ error }) => {
          if (!isOpen) throw error ?? new UnavailableError('The service ended the stream.');
          printMessage('Connection lost. Reconnecting…');
        },
      });
      for await (const { id, type, data } of events) {
        printResult(argv, { id, event: type, data }, () => formatEvent(type, data));
      }
    },
  );
}

/** The data of all kinds of events. Later releases add kinds. */
type EventFields = Partial<{
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

const RESET =
  'stream.reset: the ledger went back to an earlier state. Events printed before may no longer hold; read again what you use.';

function formatEvent(type: LedgerEvent['type'], data: LedgerEvent['data']): string {
  if (type === 'stream.reset') return RESET;
  const fields = data as EventFields;
  const { publishedAt, changedAt, dueAt, resolvedAt, recordedAt, addedAt } = fields;
  const time = publishedAt ?? changedAt ?? dueAt ?? resolvedAt ?? recordedAt ?? addedAt;
  return [
    time === undefined ? '' : sanitize(formatTime(time)),
    style('bold', sanitize(fields.slug ?? '')),
    sanitize(type),
    sanitize(formatDetails(fields)),
  ].join('  ');
}

function formatDetails(fields: EventFields): string {
  const { version, probabilities, change, reasons, status } = fields;
  const { condition, resolution, view, evidence, drawdown } = fields;
  if (probabilities) return `version ${version}: ${formatChanges(probabilities, change?.deltas)}`;
  if (condition) return `${condition.key}: ${condition.reason}`;
  if (resolution) return resolution.outcome;
  if (evidence) return evidence.headline;
  if (view) return view.analyst.name;
  if (drawdown)
    return `${drawdown.label ?? 'no label'}, ${(drawdown.depth * 100).toFixed(1)} % below the peak`;
  return reasons?.join(' ') ?? status ?? '';
}

function formatChanges(
  probabilities: Record<string, number>,
  deltas: Record<string, number> | null | undefined,
): string {
  return SCENARIOS.map((scenario) => {
    const change = deltas ? ` (${formatDelta(deltas[scenario] ?? 0)})` : '';
    return `${scenario} ${formatFraction(probabilities[scenario] ?? NaN)}${change}`;
  }).join(', ');
}
