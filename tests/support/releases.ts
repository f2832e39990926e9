import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { KEY_BYTES, keyHash, keyHint, keyText, type Role } from '../../src/domain/api-keys.ts';
import { newFolder } from './service.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** What a built release needs beside its modules. */
const PARTS = ['dist', 'migrations', 'samples', 'assets', 'package.json'];

type Journal = { entries: { idx: number; when: number; tag: string }[] };

/**
 * The build of this release with more migrations, each the text of a file.
 * @returns its folder `dist`
 */
export function nextRelease(migrations: readonly string[]): string {
  const folder = newFolder();
  for (const part of PARTS)
    cpSync(path.join(ROOT, part), path.join(folder, part), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  const file = path.join(folder, 'migrations/meta/_journal.json');
  const journal = JSON.parse(readFileSync(file, 'utf8')) as Journal;
  for (const text of migrations) {
    const last = journal.entries.at(-1);
    if (!last) throw new Error('the journal is empty');
    const idx = last.idx + 1;
    const tag = `${String(idx).padStart(4, '0')}_next`;
    journal.entries.push({ ...last, idx, when: last.when + 1, tag });
    writeFileSync(path.join(folder, `migrations/${tag}.sql`), text);
  }
  writeFileSync(file, JSON.stringify(journal));
  return path.join(folder, 'dist');
}

/**
 * The build of an earlier commit, with this release's packages.
 * @returns its folder `dist`; null if the history has no such commit, as in a shallow clone
 */
export function releaseAt(commit: string): string | null {
  const folder = newFolder();
  try {
    const tar = execFileSync('git', ['archive', commit], {
      cwd: ROOT,
      maxBuffer: 1e9,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    execFileSync('tar', ['-x', '-C', folder], { input: tar });
  } catch {
    return null;
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  for (const project of ['tsconfig.build.json', 'tsconfig.browser.json']) {
    execFileSync(process.execPath, [tsc, '-p', project, '--noCheck'], { cwd: folder });
  }
  const script = 'src/browser/verify.ts';
  if (existsSync(path.join(folder, script))) {
    const esbuild = path.join(ROOT, 'node_modules/.bin/esbuild');
    const options = ['--bundle', '--format=iife', '--outfile=dist/browser/verify.js'];
    execFileSync(esbuild, [script, ...options], { cwd: folder, stdio: 'ignore' });
  }
  return path.join(folder, 'dist');
}

/** Adds an analyst with a key, by columns that every release has had. Returns the key. */
export async function issueOldKey(pool: pg.Pool, name: string, role: Role): Promise<string> {
  const key = keyText(randomBytes(KEY_BYTES));
  await pool.query(
    `with analyst as (insert into analysts (name, created_at) values ($1, now()) returning id)
     insert into api_keys (analyst_id, role, hash, hint, created_at)
     select id, $2, $3, $4, now() from analyst`,
    [name, role, keyHash(key), keyHint(key)],
  );
  return key;
}
