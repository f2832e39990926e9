import { generateKeyPairSync } from 'node:crypto';
import {
  consistencyProof,
  type Hash,
  hashLeaf,
  type ReadHashes,
  rootOf,
} from '../../src/domain/merkle-tree.ts';
import {
  checkpointText,
  type NoteSigner,
  publicKeyBytes,
  signatureLine,
  vkeyOf,
} from '../../src/domain/signed-note.ts';

/** Makes an Ed25519 key that signs notes under this name. */
export function newSigner(name: string): NoteSigner {
  return { name, privateKey: generateKeyPairSync('ed25519').privateKey };
}

/** A log in memory. Its owner signs whatever it likes. */
export class SignedLog {
  readonly signer: NoteSigner;
  readonly #leaves: Hash[];

  constructor(signer: NoteSigner, leaves: readonly Hash[] = []) {
    this.signer = signer;
    this.#leaves = [...leaves];
  }

  get origin(): string {
    return this.signer.name;
  }

  get vkey(): string {
    return vkeyOf(this.origin, publicKeyBytes(this.signer.privateKey));
  }

  /** Adds leaves until it has this many. */
  growTo(size: number, text = 'leaf'): this {
    while (this.#leaves.length < size)
      this.#leaves.push(hashLeaf(Buffer.from(`${text} ${this.#leaves.length}`)));
    return this;
  }

  /** A log with the same key, whose leaves differ from this size on. */
  forkAt(size: number): SignedLog {
    return new SignedLog(this.signer, this.#leaves.slice(0, size));
  }

  root(size = this.#leaves.length): Buffer {
    return rootOf(this.#leaves.slice(0, size));
  }

  text(size = this.#leaves.length): string {
    return checkpointText({ origin: this.origin, size, root: this.root(size) });
  }

  checkpoint(size = this.#leaves.length, signer = this.signer): string {
    const text = this.text(size);
    return `${text}\n${signatureLine(text, signer)}\n`;
  }

  /** The body of a request to a witness. */
  async submission(oldSize: number, size = this.#leaves.length): Promise<string> {
    const proof = await consistencyProof(oldSize, size, this.#read);
    const lines = [`old ${oldSize}`, ...proof.map((hash) => hash.toString('base64'))];
    return `${lines.join('\n')}\n\n${this.checkpoint(size)}`;
  }

  readonly #read: ReadHashes = async (subtrees) =>
    subtrees.map(({ level, index }) => {
      const width = 2 ** level;
      const leaves = this.#leaves.slice(index * width, (index + 1) * width);
      return rootOf(leaves);
    });
}
