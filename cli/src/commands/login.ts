import { text } from 'node:stream/consumers';
import { isCancel, password } from '@clack/prompts';
import { DeclinedError } from '../errors.ts';
import { storeKey } from '../key-file.ts';
import type { Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { sanitize } from '../terminal-text.ts';

export function loginCommand(yargs: Yargs): void {
  yargs.command(
    'login',
    'Store your key, typed or piped',
    (yargs) => yargs,
    async (argv) => {
      const path = storeKey(await readKey());
      printResult(argv, { path }, () =>
        sanitize(`Stored the key in ${path}. Only you can read it.`),
      );
    },
  );
}

async function readKey(): Promise<string> {
  if (!process.stdin.isTTY) return text(process.stdin);
  const key = await password({ message: 'Key', mask: '', output: process.stderr });
  if (isCancel(key)) throw new DeclinedError('The key was not changed.');
  return key ?? '';
}
