import { setTimeout as delay } from 'node:timers/promises';
import { begin, newFolder, outlook, type Running } from './outlook-command.ts';

/** A running `outlook witness serve`. */
export type RunningWitness = Running & { url: string; vkey: string; folder: string };

/** Makes the key of a witness in a new folder. */
export async function createWitness(name: string): Promise<{ folder: string; vkey: string }> {
  const folder = `${newFolder()}/witness`;
  const { code, stdout, stderr } = await outlook(['witness', 'create', name, '--dir', folder]);
  if (code !== 0) throw new Error(stderr);
  return { folder, vkey: stdout.trim() };
}

/** Starts a witness of logs, and waits until it listens. */
export async function serveWitness(
  { folder, vkey }: { folder: string; vkey: string },
  logs: readonly string[],
  port = 0,
): Promise<RunningWitness> {
  const options = logs.flatMap((log) => ['--log', log]);
  const running = begin(['witness', 'serve', '--dir', folder, '--port', String(port), ...options]);
  let isOver = false;
  void running.ended.then(() => (isOver = true));
  for (;;) {
    const url = /listens at (http:\S+)/.exec(running.stderr())?.[1];
    if (url !== undefined) return { ...running, url, vkey, folder };
    if (isOver) throw new Error(`the witness ended: ${running.stderr()}`);
    await delay(20);
  }
}
