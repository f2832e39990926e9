import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { commitmentOf, entryOf } from '../../src/domain/log-entries.ts';
import {
  bundleOf,
  parseTilePath,
  type Tile,
  TILE_WIDTH,
  tileWidth,
} from '../../src/domain/log-tiles.ts';
import { type Hash, hashLeaf, rootOf } from '../../src/domain/merkle-tree.ts';
import {
  checkpointText,
  type NoteSigner,
  publicKeyBytes,
  signatureLine,
  vkeyOf,
} from '../../src/domain/signed-note.ts';

const ORIGIN = 'ledger.example/log/1';

/** A log in memory at any size, of the same functions as the service's, and served as static files are. */
export class MemoryLog {
  readonly vkey: string;
  size = 0;
  /** Changes what is served, or leaves it as it is. */
  tamper: (path: string, body: Buffer) => Buffer = (_, body) => body;
  readonly #entries: Buffer[] = [];
  /** The hashes of each level of tiles: those of level 0 are leaves. */
  readonly #levels: Hash[][] = [[]];
  readonly #signer: NoteSigner;
  readonly #server: Server;

  private constructor(signer: NoteSigner) {
    this.#signer = signer;
    this.vkey = vkeyOf(ORIGIN, publicKeyBytes(signer.privateKey));
    this.#server = createServer((request, response) => {
      const path = (request.url ?? '').slice(1);
      const body = path === 'checkpoint' ? Buffer.from(this.checkpoint()) : this.#tile(path);
      const type = path === 'checkpoint' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
      if (body === null) response.writeHead(404).end();
      else response.writeHead(200, { 'content-type': type }).end(this.tamper(path, body));
    });
  }

  static async start(): Promise<MemoryLog> {
    const { privateKey } = generateKeyPairSync('ed25519');
    const log = new MemoryLog({ name: ORIGIN, privateKey });
    await new Promise<void>((resolve) => log.#server.listen(0, '127.0.0.1', resolve));
    return log;
  }

  get prefix(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  growTo(size: number): void {
    while (this.#entries.length < size) {
      const entry = entryOf(commitmentOf(randomBytes(32), '{}'));
      this.#entries.push(entry);
      this.#append(0, hashLeaf(entry));
    }
    this.size = size;
  }

  /** The signed checkpoint of the tree at its size. */
  checkpoint(): string {
    const root = rootOf((this.#levels[0] ?? []).slice(0, this.size));
    const text = checkpointText({ origin: ORIGIN, size: this.size, root });
    return `${text}\n${signatureLine(text, this.#signer)}\n`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #append(level: number, hash: Hash): void {
    const hashes = (this.#levels[level] ??= []);
    hashes.push(hash);
    if (hashes.length % TILE_WIDTH === 0) {
      this.#append(level + 1, rootOf(hashes.slice(-TILE_WIDTH)));
    }
  }

  #tile(path: string): Buffer | null {
    const tile = parseTilePath(path);
    if (!tile || tile.width > tileWidth(tile.level, tile.number, this.size)) return null;
    return this.#bytesOf(tile);
  }

  #bytesOf({ level, number, width }: Tile): Buffer {
    const first = number * TILE_WIDTH;
    return level === 'entries'
      ? bundleOf(this.#entries.slice(first, first + width))
      : Buffer.concat((this.#levels[level] ?? []).slice(first, first + width));
  }
}
