import { isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';
import { WorkBudget } from './work-budget.ts';

/** Whose requests are counted together. */
export type ClientKind = 'address' | 'key';

/** What a client has sent and used lately. */
export type Client = {
  kind: ClientKind;
  /** Its requests in the current minute. */
  requests: number;
  /** When that minute ends, in milliseconds since 1970. */
  windowEnds: number;
  work: WorkBudget;
};

/**
 * The address whose requests are counted together. For IPv6 it is the /64 network, because a single client usually has
 * all of it.
 */
export function addressOf({ ip }: Pick<FastifyRequest, 'ip'>): string {
  if (!isIPv6(ip)) return ip.slice(0, 64).toLowerCase();
  const address = ipaddr.process(ip);
  if (address.kind() === 'ipv4') return address.toString();
  const network = (address as ipaddr.IPv6).parts.slice(0, 4);
  return new ipaddr.IPv6([...network, 0, 0, 0, 0]).toString();
}

/** The most light clients, and the most heavy ones, that are remembered. Each takes about 400 bytes: 16 MB in all. */
const MOST_CLIENTS = 20_000;

/**
 * Remembers clients in bounded memory. A heavy client, which has used half of a limit, is forgotten only after
 * {@link MOST_CLIENTS} other heavy ones have come. Of the light clients, the least recently seen are forgotten first.
 */
export class Clients {
  readonly #rates: Record<ClientKind, { requests: number; work: number }>;
  readonly #light = new LRUCache<string, Client>({ max: MOST_CLIENTS });
  readonly #heavy = new LRUCache<string, Client>({ max: MOST_CLIENTS });

  /** @param rates requests a minute and milliseconds of work a second, 0 for no limit */
  constructor(rates: Record<ClientKind, { requests: number; work: number }>) {
    this.#rates = rates;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#light.size + this.#heavy.size;
  }

  /** @param id an address as {@link addressOf} gives it, or the id of a key or a token */
  of(kind: ClientKind, id: string): Client {
    const key = `${kind} ${id}`;
    const heavy = this.#heavy.get(key);
    if (heavy) return heavy;
    const known = this.#light.get(key);
    if (known && this.#isHeavy(known)) {
      this.#light.delete(key);
      this.#heavy.set(key, known);
    }
    if (known) return known;
    const work = new WorkBudget(this.#rates[kind].work);
    const client = { kind, requests: 0, windowEnds: 0, work };
    this.#light.set(key, client);
    return client;
  }

  #isHeavy({ kind, requests, work }: Client): boolean {
    const most = this.#rates[kind].requests;
    return (most > 0 && requests >= most / 2) || work.level >= 0.5;
  }
}
