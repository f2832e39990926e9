import { spawn } from 'node:child_process';
import { codeBlocksOf, textOf } from './documents.ts';
import { newFolder } from './service.ts';

/** A command of a document, and what it prints. */
export type Step = { command: string; output: string };
export type Printed = { output: string; status: string };

/** The steps of a document's console blocks: `$ ` starts a command, which may take several lines. */
export function stepsOf(document: string): Step[] {
  const steps: Step[] = [];
  for (const { language, text } of codeBlocksOf(textOf(document))) {
    if (language !== 'console') continue;
    for (const line of text.trimEnd().split('\n')) {
      const step = steps.at(-1);
      if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: '' });
      else if (!step) throw new Error(`${document} has output before its first command: ${line}`);
      else if (isUnfinished(step.command)) step.command += `\n${line}`;
      else step.output += `${line}\n`;
    }
  }
  return steps;
}

/** Whether a shell would read on: after a backslash, or within quotes. */
function isUnfinished(command: string): boolean {
  let quote = '';
  for (const character of command) {
    if (character === quote) quote = '';
    else if (quote === '' && (character === "'" || character === '"')) quote = character;
  }
  return command.endsWith('\\') || quote !== '';
}

const PARTS =
  /(?<lineBreak>\n)|(?<time>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?<id>[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})|(?<space> )|[^]/gu;
const MEANT: Record<string, string> = {
  lineBreak: String.raw`\s*`, // long lines are broken
  space: String.raw`(?: |\n *)`, // by the command line as well
  time: String.raw`\d{4}-\d\d-\d\dT[\d:.]+Z`,
  id: String.raw`[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}`,
};

/** A pattern for a documented text: the text, with any time for a time and any id for an id. */
function patternOf(text: string): string {
  return [...text.matchAll(PARTS)]
    .map(({ 0: character, groups = {} }) => {
      const part = Object.keys(MEANT).find((name) => groups[name] !== undefined);
      return part ? MEANT[part] : character.replace(/[\\^$.*+?()[\]{}|]/u, String.raw`\$&`);
    })
    .join('');
}

/** The first part of a documented output, between `…`, that was not printed where it should; null for none. */
export function missingPart(documented: string, printed: string): string | null {
  const parts = documented.trimEnd().split(/…\n?/u);
  let rest = printed.trimEnd();
  for (const [index, part] of parts.entries()) {
    const start = index === 0 ? '^' : '';
    const end = index === parts.length - 1 ? '$' : '';
    const found = new RegExp(start + patternOf(part) + end, 'u').exec(rest);
    if (!found) return part;
    rest = rest.slice(found.index + found[0].length);
  }
  return null;
}

/** Between the outputs of commands, and before and after the status of each. */
const SEPARATOR = '\u001E';

/**
 * Runs the steps of a document in one shell, and returns what each printed.
 * @param adapted puts what differs in a test in the place of what the document says
 */
export async function runSteps(
  steps: readonly Step[],
  adapted: (script: string) => string,
): Promise<Printed[]> {
  const script = steps.map(({ command }) => `${command}\nprintf '\\036%s\\036' "$?"`).join('\n');
  const parts = (await runShell(adapted(script))).split(SEPARATOR);
  return steps.map((_, index) => ({
    output: parts[2 * index] ?? '',
    status: parts[2 * index + 1] ?? 'never run',
  }));
}

/** Runs a script in one shell and an empty folder. */
function runShell(script: string): Promise<string> {
  const folder = newFolder();
  const child = spawn('bash', ['-c', script], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (output += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', () => resolve(output));
  });
}
