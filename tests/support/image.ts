import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const REPO = fileURLToPath(new URL('../../', import.meta.url));

/** What the Dockerfile's stages are built on. */
const BASE = /^FROM (\S+)/m.exec(readFileSync(path.join(REPO, 'Dockerfile'), 'utf8'))?.[1] ?? '';

/** Buildah, with a storage of its own in a folder; as root, without a daemon. */
export type Builder = {
  /** Resolves to what it printed. */
  run: (...args: string[]) => Promise<string>;
  start: (...args: string[]) => ReturnType<typeof spawn>;
};

/** Whether buildah is installed and this is root; says so if not. */
export function hasBuilder(): boolean {
  const isThere = spawnSync('buildah', ['--version']).status === 0 && process.getuid?.() === 0;
  if (!isThere) console.warn('buildah is not installed, or this is not root: no image is built.');
  return isThere;
}

/** @param folder an empty folder, for a gigabyte or two */
export function builderIn(folder: string): Builder {
  const storage = ['--root', `${folder}/storage`, '--runroot', `${folder}/run`];
  const all = [...storage, '--storage-driver', 'vfs'];
  const env = { ...process.env, BUILDAH_ISOLATION: 'chroot' };
  return {
    run: async (...args) => {
      const { stdout } = await promisify(execFile)('buildah', [...all, ...args], {
        env,
        maxBuffer: 1e9,
      });
      return stdout.trim();
    },
    start: (...args) => spawn('buildah', [...all, ...args], { env }),
  };
}

/**
 * Builds the project's Dockerfile, on a base made of this machine's Node.js, so that no registry of images is needed. With
 * PULL_IMAGES=true, it is the base that the Dockerfile names.
 * @returns the base that was used
 */
export async function buildImage(builder: Builder, folder: string, name: string): Promise<string> {
  const pulls = process.env['PULL_IMAGES'] === 'true';
  const base = pulls ? BASE : await baseOfThisMachine(builder, folder);
  const dockerfile = path.join(folder, 'Dockerfile');
  const text = readFileSync(path.join(REPO, 'Dockerfile'), 'utf8');
  writeFileSync(dockerfile, text.replaceAll(BASE, base));
  // npm reaches its registry in the build as it does here.
  const npmrc = path.join(folder, 'npmrc');
  const configured = (key: string) =>
    execFileSync('npm', ['config', 'get', key], { encoding: 'utf8', cwd: '/' }).trim();
  const lines = [
    `registry=${configured('registry')}`,
    `cafile=${CERTIFICATES}`,
    'cache=/root/.npm',
    'prefer-offline=true',
  ];
  writeFileSync(npmrc, lines.join('\n'));
  const volumes = [
    `${npmrc}:/root/.npmrc:ro`,
    `${certificates()}:${CERTIFICATES}:ro`,
    `${configured('cache')}:/root/.npm`,
  ];
  await builder.run(
    'bud',
    // OCI's own format has no HEALTHCHECK.
    '--format',
    'docker',
    `--pull=${pulls ? 'always' : 'never'}`,
    `--file=${dockerfile}`,
    `--tag=${name}`,
    `--ignorefile=${path.join(REPO, '.dockerignore')}`,
    ...volumes.flatMap((volume) => ['--volume', volume]),
    REPO,
  );
  return base;
}

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

function certificates(): string {
  return process.env['NODE_EXTRA_CA_CERTS'] ?? CERTIFICATES;
}

/** The programs that the Dockerfile's steps run. */
const PROGRAMS = ['sh', 'env', 'rm'];

async function baseOfThisMachine(builder: Builder, folder: string): Promise<string> {
  const root = path.join(folder, 'root');
  for (const name of ['usr/bin', 'usr/lib', 'usr/lib64', 'etc/ssl/certs', 'tmp', 'root', 'proc']) {
    mkdirSync(path.join(root, name), { recursive: true });
  }
  chmodSync(path.join(root, 'tmp'), 0o1777);
  // As in Debian, /bin and /lib are in /usr.
  for (const name of ['bin', 'lib', 'lib64']) {
    execFileSync('ln', ['-s', `usr/${name}`, path.join(root, name)]);
  }
  writeFileSync(
    path.join(root, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/tmp:/bin/sh\n',
  );
  writeFileSync(path.join(root, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
  const which = (name: string) =>
    realpathSync(execFileSync('which', [name], { encoding: 'utf8' }).trim());
  const programs = [...PROGRAMS.map((name) => [name, which(name)]), ['node', process.execPath]];
  for (const [name = '', file = ''] of programs) {
    cpSync(file, path.join(root, 'usr/bin', name));
    const libraries = execFileSync('ldd', [file], { encoding: 'utf8' });
    for (const [library] of libraries.matchAll(/\/\S+/g)) {
      const target = path.join(root, library);
      mkdirSync(path.dirname(target), { recursive: true });
      cpSync(library, target, { dereference: true });
    }
  }
  const npm = path.dirname(path.dirname(which('npm')));
  cpSync(npm, path.join(root, 'usr/lib/node_modules/npm'), { recursive: true });
  execFileSync('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', `${root}/usr/bin/npm`]);
  const container = await builder.run('from', 'scratch');
  await builder.run('copy', '--quiet', container, root, '/');
  await builder.run('config', '--env', 'PATH=/usr/bin', container);
  await builder.run('commit', '--quiet', '--rm', container, 'localhost/base');
  return 'localhost/base';
}
