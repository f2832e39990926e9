import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '../support/programs.ts';
import { newFolder } from '../support/service.ts';

// Programs of others that verify logs and receipts. They read no code of ours, only bytes that were served or saved.

const GO = path.join(import.meta.dirname, 'go');
const PYTHON = path.join(import.meta.dirname, 'python/verifier.py');
const LITEWITNESS = 'filippo.io/torchwood/cmd/litewitness';

const runFile = promisify(execFile);

/** What a verifier found, or why it does not accept what it was shown. */
export type Verdict = { report: Record<string, unknown> } | { fault: string };

/** Runs a verifier's command, which its source describes. Null if the verifier is not installed. */
export type Verifier = (command: string, ...args: string[]) => Promise<Verdict>;

export type Verifiers = {
  go: Verifier | null;
  python: Verifier | null;
  /** The folder of the programs that Go built: `verifier` and `litewitness`. */
  programs: string;
};

/** Builds the Go program and looks for the Python package. Warns of what is missing. */
export async function findVerifiers(): Promise<Verifiers> {
  const programs = newFolder();
  return { go: await buildGo(programs), python: await findPython(), programs };
}

async function buildGo(programs: string): Promise<Verifier | null> {
  const go = findProgram('go');
  if (go === null) return missing('go is not installed');
  // The module needs a newer Go than some distributions have; `auto` has it fetched from the module proxy.
  const env = { ...process.env, GOTOOLCHAIN: process.env['GOTOOLCHAIN'] ?? 'auto' };
  const build = ['build', '-o', `${programs}/`, '.', LITEWITNESS];
  await runFile('nice', [go, ...build], { cwd: GO, env });
  return (...args) => runVerifier(path.join(programs, 'verifier'), args);
}

async function findPython(): Promise<Verifier | null> {
  const python = findProgram('python3');
  if (python === null) return missing('python3 is not installed');
  const hasPackage = await runFile(python, ['-c', 'import aics_tlog']).then(
    () => true,
    () => false,
  );
  if (!hasPackage) {
    return missing(
      `${python} lacks aics-tlog: install tests/outside-verifiers/python/requirements.txt, and name that Python by PYTHON3`,
    );
  }
  return (...args) => runVerifier(python, [PYTHON, ...args]);
}

function missing(what: string): null {
  console.warn(`SKIPPED: ${what}; its verifications do not run`);
  return null;
}

async function runVerifier(program: string, args: string[]): Promise<Verdict> {
  try {
    const { stdout } = await runFile(program, args, { maxBuffer: 1 << 26, timeout: 300_000 });
    return { report: JSON.parse(stdout) as Record<string, unknown> };
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return { fault: stderr?.trim() || message };
  }
}
