/**
 * A proof that a log has an entry, for offline verification (c2sp.org/tlog-proof).
 *
 * @param proof - the inclusion proof, from the leaf's sibling up to the root's child
 * @param checkpoint - the signed note, with the log's signatures and any cosignatures
 */
export function tlogProof(index: number, proof: readonly Buffer[], checkpoint: string): string {
  const hashes = proof.map((hash) => `${hash.toString('base64')}\n`).join('');
  return `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes}\n${checkpoint}`;
}
