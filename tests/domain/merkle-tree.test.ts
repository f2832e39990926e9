import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  consistencyProof,
  EMPTY_ROOT,
  hashLeaf,
  inclusionProof,
  inclusionProofsOf,
  type ReadHashes,
  rootAt,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from '../../src/domain/merkle-tree.ts';

/** The eight leaves of the test suite of Certificate Transparency, and its roots and proofs. */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((leaf) => hashLeaf(Buffer.from(leaf, 'hex')));

const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const INCLUSION: [index: number, size: number, proof: string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    1,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];

const CONSISTENCY: [oldSize: number, size: number, proof: string[]][] = [
  [1, 1, []],
  [
    1,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    6,
    8,
    [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [
    2,
    5,
    [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];

const hex = (hashes: readonly Buffer[]) => hashes.map((hash) => hash.toString('hex'));

describe('the tree of eight leaves', () => {
  test.each(ROOTS.map((root, size) => ({ size, root })))(
    'has its root at size $size',
    async ({ size, root }) => {
      expect(rootOf(LEAVES.slice(0, size)).toString('hex')).toBe(root);
      expect((await rootAt(size, readerOf(LEAVES))).toString('hex')).toBe(root);
    },
  );

  test.each(INCLUSION)('proves leaf %i at size %i', async (index, size, proof) => {
    expect(inclusionProofsOf(LEAVES.slice(0, size), [index]).map(hex)).toEqual([proof]);
    expect(hex(await inclusionProof(index, size, readerOf(LEAVES)))).toEqual(proof);
  });

  test.each(CONSISTENCY)('proves that size %i is a part of size %i', async (old, size, proof) => {
    expect(hex(await consistencyProof(old, size, readerOf(LEAVES)))).toEqual(proof);
  });
});

/** The tree as the definitions of RFC 9162, sections 2.1.1 to 2.1.4.1, spell it out. */
const naive = {
  split: (size: number) => {
    let k = 1;
    while (k * 2 < size) k *= 2;
    return k;
  },
  root(d: readonly Buffer[]): Buffer {
    if (d.length === 0) return createHash('sha256').digest();
    if (d.length === 1) return d[0] as Buffer;
    const k = naive.split(d.length);
    const sides = [Buffer.of(1), naive.root(d.slice(0, k)), naive.root(d.slice(k))];
    return createHash('sha256').update(Buffer.concat(sides)).digest();
  },
  path(m: number, d: readonly Buffer[]): Buffer[] {
    if (d.length === 1) return [];
    const k = naive.split(d.length);
    return m < k
      ? [...naive.path(m, d.slice(0, k)), naive.root(d.slice(k))]
      : [...naive.path(m - k, d.slice(k)), naive.root(d.slice(0, k))];
  },
  proof(m: number, d: readonly Buffer[], isWhole: boolean): Buffer[] {
    if (m === d.length) return isWhole ? [] : [naive.root(d)];
    const k = naive.split(d.length);
    return m <= k
      ? [...naive.proof(m, d.slice(0, k), isWhole), naive.root(d.slice(k))]
      : [...naive.proof(m - k, d.slice(k), false), naive.root(d.slice(0, k))];
  },
};

/** Reads complete subtrees of leaves in memory. */
function readerOf(leaves: readonly Buffer[]): ReadHashes {
  return async (subtrees) =>
    subtrees.map(({ level, index }) => {
      const own = leaves.slice(index * 2 ** level, (index + 1) * 2 ** level);
      if (own.length !== 2 ** level) throw new Error(`no subtree ${index} at level ${level}`);
      return naive.root(own);
    });
}

const leavesOf = (size: number) =>
  Array.from({ length: size }, (_, index) => hashLeaf(Buffer.from(`leaf ${index}`)));

/** Every size up to 20, and those around the widths of tiles. */
const SIZES = [...Array(21).keys(), 31, 32, 33, 127, 128, 129, 255, 256, 257, 300];

/** All indices of a small tree; of a large one, those at its edges and some between. */
const indicesOf = (size: number) =>
  [...Array(size).keys()].filter(
    (index) => size <= 20 || index < 2 || index > size - 3 || index % 61 === 0,
  );

describe.each(SIZES)('a tree of %i leaves', (size) => {
  const leaves = leavesOf(size);
  const root = naive.root(leaves);

  test('has the root that RFC 9162 defines', async () => {
    expect(rootOf(leaves)).toEqual(root);
    expect(await rootAt(size, readerOf(leaves))).toEqual(root);
  });

  test('proves each leaf, and no other', async () => {
    for (const index of indicesOf(size)) {
      const proof = naive.path(index, leaves);
      expect(inclusionProofsOf(leaves, [index])).toEqual([proof]);
      expect(await inclusionProof(index, size, readerOf(leaves))).toEqual(proof);
      const claim = { index, size, leafHash: leaves[index] as Buffer, proof, root };
      expect(verifyInclusion(claim)).toBe(true);
      for (const wrong of wrongInclusions(claim)) expect(verifyInclusion(wrong)).toBe(false);
    }
  });

  test('proves that it extends each smaller tree, and no other', async () => {
    for (const oldSize of [...indicesOf(size), size]) {
      const oldRoot = naive.root(leaves.slice(0, oldSize));
      const proof = oldSize === 0 ? [] : naive.proof(oldSize, leaves, true);
      expect(await consistencyProof(oldSize, size, readerOf(leaves))).toEqual(proof);
      const claim = { oldSize, oldRoot, size, root, proof };
      expect(verifyConsistency(claim)).toBe(true);
      for (const wrong of wrongConsistencies(claim)) expect(verifyConsistency(wrong)).toBe(false);
    }
  });
});

const OTHER = hashLeaf(Buffer.from('another'));

/** Proofs with one hash changed, one left out, and one too many. */
function wrongProofs(proof: readonly Buffer[]): Buffer[][] {
  const changed = proof.map((_, at) => proof.with(at, OTHER));
  return [...changed, proof.slice(1), proof.slice(0, -1), [...proof, OTHER]].filter(
    (wrong) => !isSame(wrong, proof),
  );
}

const isSame = (one: readonly Buffer[], other: readonly Buffer[]) =>
  Buffer.concat(one).equals(Buffer.concat(other));

function wrongInclusions(claim: Parameters<typeof verifyInclusion>[0]) {
  return [
    ...wrongProofs(claim.proof as Buffer[]).map((proof) => ({ ...claim, proof })),
    ...[claim.index + 1, claim.index - 1, claim.size, 0.5, -1].map((index) => ({
      ...claim,
      index,
    })),
    { ...claim, leafHash: OTHER },
    { ...claim, root: OTHER },
    { ...claim, root: Buffer.alloc(0) },
  ];
}

function wrongConsistencies(claim: Parameters<typeof verifyConsistency>[0]) {
  return [
    ...wrongProofs(claim.proof as Buffer[]).map((proof) => ({ ...claim, proof })),
    ...(claim.oldSize === 0 && claim.size > 0 ? [] : [{ ...claim, root: OTHER }]),
    { ...claim, oldRoot: OTHER },
    { ...claim, oldSize: claim.size + 1 },
    { ...claim, oldSize: -1 },
    { ...claim, oldSize: 0.5 },
  ];
}

test('a tree without leaves is extended by every tree, with an empty proof', () => {
  const claim = { oldSize: 0, oldRoot: EMPTY_ROOT, size: 8, root: OTHER, proof: [] };
  expect(verifyConsistency(claim)).toBe(true);
  expect(verifyConsistency({ ...claim, proof: [OTHER] })).toBe(false);
});

test('a leaf or a smaller tree that does not exist has no proof', async () => {
  const read = readerOf(LEAVES);
  expect(() => inclusionProofsOf(LEAVES, [8])).toThrow(RangeError);
  await expect(inclusionProof(8, 8, read)).rejects.toThrow(RangeError);
  await expect(inclusionProof(-1, 8, read)).rejects.toThrow(RangeError);
  await expect(consistencyProof(9, 8, read)).rejects.toThrow(RangeError);
});

test.each([2 ** 32 + 1, 2 ** 48, 2 ** 48 - 1, 2 ** 53 - 1])(
  'a tree of %i leaves has proofs of at most 53 hashes',
  async (size) => {
    // Each complete subtree has the same hash: that of a tree whose leaves are all alike.
    const hashes = [hashLeaf(Buffer.alloc(0))];
    const read: ReadHashes = async (subtrees) =>
      subtrees.map(({ level, index }) => {
        expect((index + 1) * 2 ** level).toBeLessThanOrEqual(size);
        for (let at = hashes.length; at <= level; at += 1) {
          const below = hashes[at - 1] as Buffer;
          hashes.push(naive.root([below, below]));
        }
        return hashes[level] as Buffer;
      });
    const root = await rootAt(size, read);
    const leafHash = hashes[0] as Buffer;
    for (const index of [0, 2 ** 31, size - 2, size - 1]) {
      const proof = await inclusionProof(index, size, read);
      expect(proof.length).toBeLessThanOrEqual(53);
      expect(verifyInclusion({ index, size, leafHash, proof, root })).toBe(true);
    }
    for (const oldSize of [1, 2 ** 31 + 1, 2 ** 32, size - 1]) {
      const oldRoot = await rootAt(oldSize, read);
      const proof = await consistencyProof(oldSize, size, read);
      expect(verifyConsistency({ oldSize, oldRoot, size, root, proof })).toBe(true);
    }
  },
);
