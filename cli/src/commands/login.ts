import { text } from 'node:stream/consumers';
import { isCancel, password } from '@clack/prompts';
import { Declined } from '../errors.ts';
import { storeKey } from '../key-file.ts';
import type { Program } from '../options.ts';
import { answer } from '../output.ts';
import { plain } from '../terminal-text.ts';

export function loginCommand(program: Program): Program {
  return program.command(
    'login',
    'Keep the key for this user, read from the standard input',
    (command) => command,
    async (argv) => {
      const path = storeKey(await readKey());
      answer(argv, { path }, () => plain(`The key is in ${path}, which only you can read.`));
    },
  );
}

async function readKey(): Promise<string> {
  if (!process.stdin.isTTY) return text(process.stdin);
  const typed = await password({ message: 'Key', mask: '', output: process.stderr });
  if (isCancel(typed)) throw new Declined('The key stays as it was.');
  return typed ?? '';
}
