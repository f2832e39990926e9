import { randomUUID } from 'node:crypto';

/**
 * The origin of a generation (c2sp.org/tlog-checkpoint): the address of its tiles without the scheme or, without an address, a
 * name under a domain that nobody can have (RFC 2606).
 * @param host the public host of the service, with its port if it has one; null if it has none
 * @param before the origin of the generation before; null for the first one
 */
export function originOf(host: string | null, generation: number, before: string | null): string {
  if (host !== null) return `${host}/log/${generation}`;
  const [, id = randomUUID()] =
    /^outlook-ledger\.invalid\/([0-9a-f-]{36})\//.exec(before ?? '') ?? [];
  return `outlook-ledger.invalid/${id}/${generation}`;
}

/** The generation that an origin names; 0 if it names none. */
export function generationIn(origin: string): number {
  return Number(/\/(\d{1,9})$/.exec(origin)?.[1] ?? 0);
}
