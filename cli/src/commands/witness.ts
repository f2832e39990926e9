import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { UsageError } from '../errors.ts';
import { formatTime } from '../layout.ts';
import { numberOption, textOption, type Yargs } from '../options.ts';
import { printMessage, printResult } from '../output.ts';
import { sanitize } from '../terminal-text.ts';
import { createKey, readKey, type WitnessKey } from '../witness/key.ts';
import { forksIn, logFolders, newestRecord } from '../witness/records.ts';
import { witnessServer } from '../witness/server.ts';
import { type Cosigned, logsOf, parseRecord, type WitnessEvent } from '../witness/witness.ts';

/** Time for requests that are being answered when the witness stops, in milliseconds. */
const STOP_TIMEOUT = 2_000;

const folderOption = {
  ...textOption('folder of the key and of what the witness cosigned'),
  demandOption: true,
} as const;

export function witnessCommand(yargs: Yargs): void {
  yargs.command('witness', 'Run a witness of transparency logs', (yargs) => {
    createCommand(yargs);
    serveCommand(yargs);
    listCommand(yargs);
    return yargs.demandCommand(1, 'Use "witness create", "witness serve" or "witness list".');
  });
}

function createCommand(yargs: Yargs): void {
  yargs.command(
    'create <name>',
    'Make the key of a new witness, and print its verifier key',
    (yargs) =>
      yargs
        .positional('name', {
          type: 'string',
          demandOption: true,
          describe: 'name of the witness, such as witness.example/w1',
        })
        .options({ dir: folderOption }),
    (argv) => {
      const { vkey } = createKey(argv.dir, argv.name);
      printResult(argv, { vkey }, () => sanitize(vkey));
    },
  );
}

function serveCommand(yargs: Yargs): void {
  yargs.command(
    'serve',
    'Cosign checkpoints over HTTP until Ctrl-C',
    (yargs) =>
      yargs.options({
        dir: folderOption,
        log: {
          type: 'string',
          array: true,
          demandOption: true,
          describe: 'verifier key of a log to cosign; may be repeated',
        },
        host: { ...textOption('address to listen on'), default: '127.0.0.1' },
        port: { ...numberOption('port to listen on; 0 for a free one'), default: 8787 },
      }),
    async (argv) => {
      if (!Number.isInteger(argv.port) || argv.port < 0 || argv.port > 65_535) {
        throw new UsageError('--port must be a whole number from 0 to 65535.');
      }
      const key = readKey(argv.dir);
      const logs = await logsOf(argv.log);
      const report = reporter(argv);
      const server = witnessServer({ folder: argv.dir, key, logs, report }, (error) =>
        printMessage(sanitize(`A request failed: ${(error as Error).message}`)),
      );
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(argv.port, argv.host, resolve);
      });
      printMessage(sanitize(`${key.vkey} listens at ${originOf(server.address() as AddressInfo)}`));
      await untilStopped(server);
    },
  );
}

/** Stops on a signal, and resolves once all requests are answered or took too long. */
function untilStopped(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.once('close', resolve);
    const stop = () => {
      server.close();
      setTimeout(() => server.closeAllConnections(), STOP_TIMEOUT).unref();
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  });
}

function listCommand(yargs: Yargs): void {
  yargs.command(
    'list',
    'Show the newest checkpoint of each log that the witness cosigned',
    (yargs) => yargs.options({ dir: folderOption }),
    async (argv) => {
      const key = readKey(argv.dir);
      const logs = await cosignedLogs(argv.dir, key);
      printResult(argv, { vkey: key.vkey, logs }, () =>
        [key.vkey, ...logs.flatMap(formatLog)].map(sanitize).join('\n'),
      );
    },
  );
}

type CosignedLog = {
  origin: string;
  size: number;
  root: string;
  cosignedAt: string;
  /** Files of checkpoints that contradict a cosigned one. */
  forks: string[];
};

async function cosignedLogs(folder: string, key: WitnessKey): Promise<CosignedLog[]> {
  const logs: CosignedLog[] = [];
  for (const log of await logFolders(folder)) {
    const record = await newestRecord(log);
    if (!record) continue;
    const forks = (await forksIn(log)).map((name) => path.join(log, name));
    logs.push({ ...shown(parseRecord(record, key)), forks });
  }
  return logs.toSorted((left, right) => (left.origin < right.origin ? -1 : 1));
}

function shown({ origin, size, root, seconds }: Cosigned): Omit<CosignedLog, 'forks'> {
  const cosignedAt = new Date(seconds * 1000).toISOString();
  return { origin, size, root: Buffer.from(root).toString('base64'), cosignedAt };
}

function formatLog({ origin, size, root, cosignedAt, forks }: CosignedLog): string[] {
  return [
    `${origin}: size ${size}, root ${root}, cosigned ${formatTime(cosignedAt)}`,
    ...forks.map((file) => `  The log signed another root for a size that was cosigned: ${file}`),
  ];
}

/**
 * Prints what a witness does. Anyone may send a signed checkpoint with a wrong proof, so a refusal is printed once, until the next
 * checkpoint of the log is cosigned.
 */
function reporter(argv: { json: boolean }): (event: WitnessEvent) => void {
  const printed = new Set<string>();
  return (event) => {
    const { kind, origin } = event;
    const subject = kind === 'fork' ? event.file : origin;
    if (kind === 'cosigned') printed.delete(origin);
    else if (printed.has(subject)) return;
    else printed.add(subject);
    const at = new Date().toISOString();
    printResult(argv, { at, ...event }, () => sanitize(`${at} ${sentenceOf(event)}`));
  };
}

function sentenceOf(event: WitnessEvent): string {
  const checkpoint = `${event.origin}, size ${event.size}`;
  if (event.kind === 'cosigned') return `Cosigned ${checkpoint}.`;
  if (event.kind === 'refused') return `Refused ${checkpoint}: ${event.reason}`;
  return `FORK: the log signed two roots for ${checkpoint}. ${event.file} has the one that was not cosigned here; with the cosigned checkpoint, it proves the fork.`;
}

function originOf({ address, port }: AddressInfo): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
}
