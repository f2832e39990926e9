import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'vitest';
import {
  isAlive,
  keysShown,
  newFolder,
  postmasterOf,
  type Service,
  startService,
} from './service.ts';

export type UsedFolder = {
  /** The admin key of its first start. */
  key: string;
  /** A copy, with its owner, of the folder after the first start. */
  copy: () => string;
};

/** A data folder on which the service was started and stopped once. */
export async function useFolder(): Promise<UsedFolder> {
  const template = newFolder();
  const service = await startService({ DATA_DIR: template });
  const [key = ''] = keysShown(service.stdout());
  await stopService(service, template);
  const copy = () => {
    const folder = newFolder();
    const { status, stderr } = spawnSync('cp', ['-a', path.join(template, 'pg18'), folder]);
    expect(status, String(stderr)).toBe(0);
    return folder;
  };
  return { key, copy };
}

/** Stops the service as Ctrl-C does, and sees PostgreSQL gone with it. */
export async function stopService(service: Service, dataDir: string): Promise<void> {
  const postmaster = postmasterOf(dataDir);
  service.kill('SIGINT');
  expect(await service.ended).toEqual({ code: 0, signal: null });
  expect(postmaster && isAlive(postmaster)).toBe(false);
  expect(postmasterOf(dataDir)).toBeNull();
}
