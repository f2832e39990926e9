import { spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { codeBlocksOf, textOf } from '../support/documents.ts';
import { cleanUp, keysShown, newFolder, type Service, startService } from '../support/service.ts';

// Runs docs/tour.md against a fresh service: it prints what a reader will see.

/** A command, and what it prints. */
type Step = { command: string; output: string };

/** The steps of a document's console blocks: `$ ` starts a command, which may take several lines. */
function stepsOf(document: string): Step[] {
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

/** Whether a shell would read on: after a backslash, or within single quotes. */
function isUnfinished(command: string): boolean {
  return command.endsWith('\\') || command.split("'").length % 2 === 0;
}

const PARTS =
  /(?<lineBreak>\n)|(?<time>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?<id>[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})|[^]/gu;
const MEANT: Record<string, string> = {
  lineBreak: String.raw`\s*`, // long lines are broken
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
function missingPart(documented: string, printed: string): string | null {
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

const STEPS = stepsOf('docs/tour.md');
/** Between the outputs of commands, and before and after the status of each. */
const SEPARATOR = '\u001E';

let service: Service;
let printed: { output: string; status: string }[];
beforeAll(async () => {
  service = await startService({ DATA_DIR: newFolder() });
  const [key = ''] = keysShown(service.stdout());
  const script = STEPS.map(({ command }) => `${command}\nprintf '\\036%s\\036' "$?"`).join('\n');
  const ours = script
    .replace('KEY=olk_…', `KEY=${key}`)
    .replaceAll('http://127.0.0.1:3000', service.origin);
  const parts = (await runShell(ours)).split(SEPARATOR);
  printed = STEPS.map((_, index) => ({
    output: parts[2 * index] ?? '',
    status: parts[2 * index + 1] ?? 'never run',
  }));
}, 300_000);
afterAll(cleanUp);

/** Runs a script in one shell and an empty folder. */
function runShell(script: string): Promise<string> {
  const child = spawn('bash', ['-c', script], {
    cwd: newFolder(),
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (output += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', () => resolve(output));
  });
}

test('the steps of the tour are found', () => {
  expect(STEPS.length).toBeGreaterThan(20);
  expect(STEPS.filter(({ output }) => output !== '').length).toBeGreaterThan(15);
});

test('the first start prints what the tour shows', () => {
  const shown = codeBlocksOf(textOf('docs/tour.md')).find(({ language }) => language === 'text');
  expect(missingPart(`…${shown?.text}…`, service.stdout())).toBeNull();
});

test.each(STEPS.map((step, index) => ({ ...step, index })))(
  '$command prints what the tour shows',
  ({ output, index }) => {
    const { output: actual, status } = printed[index] ?? { output: '', status: 'never run' };
    expect(missingPart(output, actual), `printed: ${actual.slice(0, 1_000)}`).toBeNull();
    expect(status).toBe('0');
  },
);

test('the README shows the first steps of the tour', () => {
  const steps = stepsOf('README.md');
  expect(steps).toHaveLength(3);
  expect(STEPS).toEqual(expect.arrayContaining(steps));
});
