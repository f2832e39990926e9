import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Client,
  parseVkey,
  type Problem,
  type ReceiptVerification,
  verifyReceipt,
} from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow, EXIT_CODES, UsageError } from '../errors.ts';
import { readInput } from '../input-files.ts';
import { heading, paragraph, style, table } from '../layout.ts';
import { numberOption, slugArgument, textOption, type Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { sanitize } from '../terminal-text.ts';

/** How long to wait until the log has signed the newest entry, in milliseconds. */
const MAX_WAIT = 15_000;

export function receiptCommand(yargs: Yargs): void {
  yargs.command('receipt', 'Save receipts, or verify them offline', (yargs) => {
    saveCommand(yargs);
    verifyCommand(yargs);
    return yargs.demandCommand(1, 'Use "receipt save" or "receipt verify".');
  });
}

function saveCommand(yargs: Yargs): void {
  yargs.command(
    'save <slug> [version]',
    'Save the receipt of a version, an item of evidence, a view or the resolution',
    (yargs) =>
      yargs
        .positional('slug', slugArgument)
        .positional('version', numberOption('version; the newest if omitted'))
        .options({
          evidence: {
            ...textOption('id of an item of evidence'),
            coerce: (id: string | readonly string[]) => once('evidence', id),
          },
          view: { type: 'string', describe: 'id of an analyst; your own view if omitted' },
          resolution: { type: 'boolean', default: false, describe: 'the newest resolution' },
          output: {
            ...textOption('file to write, - for standard output'),
            alias: 'o',
          },
        })
        .check(requireOneSubject),
    async (argv) => {
      const client = apiClient(argv.url);
      const { text, name } = await readReceipt(client, await pathOf(client, argv));
      const file = argv.output ?? name;
      if (file === '-') {
        process.stdout.write(text);
        return;
      }
      await save(file, text);
      printResult(argv, { file }, () =>
        sanitize(`Saved ${file}. To verify it: outlook receipt verify ${file} --vkey VKEY`),
      );
    },
  );
}

function once(option: string, value: string | readonly string[]): string {
  if (typeof value === 'string') return value;
  throw new UsageError(`--${option} is given more than once.`);
}

type Selector = {
  slug: string;
  version?: number | undefined;
  evidence?: string | undefined;
  view?: string | undefined;
  resolution: boolean;
};

function requireOneSubject({ version, evidence, view, resolution }: Partial<Selector>): true {
  const given = [version, evidence, view, resolution || undefined];
  if (given.filter((one) => one !== undefined).length <= 1) return true;
  throw new UsageError('Name one of a version, --evidence, --view and --resolution.');
}

/** The path of what the receipt is of, below the outlook. */
async function pathOf(client: Client, selector: Selector): Promise<string> {
  const { slug, evidence, view, resolution } = selector;
  const outlook = `/v1/outlooks/${encodeURIComponent(slug)}`;
  if (evidence !== undefined) return `${outlook}/evidence/${encodeURIComponent(evidence)}`;
  if (view !== undefined) return `${outlook}/views/${encodeURIComponent(view || 'me')}`;
  if (resolution) return `${outlook}/resolution`;
  const version = selector.version ?? (await newestVersion(client, slug));
  return `${outlook}/versions/${version}`;
}

async function newestVersion(client: Client, slug: string): Promise<number> {
  const params = { path: { slug } };
  return dataOrThrow(await client.GET('/v1/outlooks/{slug}', { params })).version;
}

/**
 * Reads a receipt as the service sends it, with the name that it has for the file. An entry is in the log at once, and a
 * moment later in a checkpoint.
 * @param path of its subject
 */
async function readReceipt(client: Client, path: string): Promise<{ text: string; name: string }> {
  // The receipts of all subjects have one form, so that one call takes any of their paths.
  const read = client.GET as unknown as (
    path: string,
    options: { parseAs: 'text' },
  ) => Promise<{ data: string; error?: never; response: Response } | Refusal>;
  const deadline = Date.now() + MAX_WAIT;
  for (;;) {
    const result = await read(`${path}/receipt`, { parseAs: 'text' });
    const pause = waitFor(result);
    if (pause === null || Date.now() + pause > deadline) {
      return { text: dataOrThrow(result), name: nameOf(result.response) };
    }
    await delay(pause);
  }
}

type Refusal = { data?: never; error: Problem; response: Response };

/** Milliseconds to wait for a checkpoint; null if waiting is of no use. */
function waitFor({ error, response }: { error?: Problem; response: Response }): number | null {
  if (error?.type !== '/problems/receipt-not-ready') return null;
  return Math.max(1, Number(response.headers.get('retry-after')) || 1) * 1_000;
}

/** The name of the file, as the service suggests it; one that could be a path is not taken. */
function nameOf({ headers }: Response): string {
  const disposition = headers.get('content-disposition') ?? '';
  const name = /^attachment; filename="([\w.-]+)"$/.exec(disposition)?.[1];
  return name?.endsWith('.json') ? name : 'outlook.receipt.json';
}

/** A receipt is not replaced: the earlier one may have what the later one lacks. */
async function save(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? 'it is there already. Name another with -o' : message;
    throw new UsageError(`Can't write ${file}: ${reason}.`);
  }
}

function verifyCommand(yargs: Yargs): void {
  yargs.command(
    'verify <file>',
    'Verify a receipt without the service; exits with 1 if it does not hold',
    (yargs) =>
      yargs
        .positional('file', {
          type: 'string',
          demandOption: true,
          describe: 'file of the receipt, - for standard input',
        })
        .nargs('file', 1)
        .options({
          vkey: textOption("verifier key of the log; the receipt's own if omitted"),
          witness: {
            type: 'string',
            array: true,
            default: [] as string[],
            describe:
              "verifier key of a witness; may be repeated. One must have cosigned; the receipt's own if omitted",
          },
        }),
    async (argv) => {
      await requireVkeys(argv);
      const { text } = await readInput(argv.file);
      const { vkey, witness: witnesses } = argv;
      const verification = await verifyReceipt(text, { vkey, witnesses });
      printResult(argv, verification, () => formatVerification(verification));
      if (verification.outcome !== 'holds') process.exitCode = EXIT_CODES.refused;
    },
  );
}

/** @throws UsageError */
async function requireVkeys(argv: { vkey?: string | undefined; witness: string[] }): Promise<void> {
  const { vkey, witness } = argv;
  if (vkey !== undefined && (await parseVkey(vkey))?.type !== 1) {
    throw new UsageError('--vkey must be the Ed25519 verifier key of a log: name+id+key.');
  }
  for (const one of witness) {
    if ((await parseVkey(one))?.type === 4) continue;
    throw new UsageError('--witness must be the Ed25519 verifier key of a witness: name+id+key.');
  }
}

const OUTCOMES = {
  holds: 'The receipt holds.',
  unchecked: 'The signature was not checked.',
  fails: 'The receipt proves nothing.',
} as const;

function formatVerification(verification: ReceiptVerification): string {
  const { outcome, sentence, checks } = verification;
  const parts = [
    heading(OUTCOMES[outcome]),
    paragraph(sentence),
    ...('said' in verification ? formatRecord(verification) : []),
    table(
      [{ title: 'Check' }, { title: 'Result' }, { title: 'Detail', wraps: true }],
      checks.map(({ name, result, detail }) => [name, result, detail]),
    ),
  ];
  return parts.join('\n\n');
}

type Verified = ReceiptVerification & { outcome: 'holds' | 'unchecked' };

function formatRecord({ said, log, caveats }: Verified): string[] {
  const { by, subject } = said.event;
  const facts = [
    ['Subject', subject],
    ['By', by ? `${by.name} (${by.id})` : 'the service'],
    ...said.facts.map(({ label, text }) => [label, text]),
    ['Log', log.origin],
    ['Key of the log', log.vkey ?? 'unknown'],
  ];
  return [
    ...(caveats.length > 0
      ? [style('yellow', caveats.map((one) => paragraph(one)).join('\n'))]
      : []),
    table([{ title: '' }, { title: '', wraps: true }], facts),
  ];
}
