import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../problems.ts';
import { addressOf } from '../clients.ts';
import { whenFinished } from '../when-finished.ts';

/** From how many bytes on a body is counted. The system's own buffers hold about as much. */
const LARGE = 65_536;
/** The bytes of large bodies that may be on their way at once. */
const MOST_BYTES = 64 * 2 ** 20;
/** The bytes of large bodies that may be on their way to one address. */
const MOST_TO_ADDRESS = MOST_BYTES / 2;

/** A body on its way: the address that asked first, for which it is counted, and how many clients are being sent it. */
type Sending = { address: string; clients: number };

/**
 * Bounds the memory of large bodies that are being sent. A client may read slowly, and its body stays in memory until it has
 * read it, even if the cache drops it. A body that is sent to many clients counts once.
 */
export class BodiesInFlight {
  readonly #bodies = new Map<Buffer, Sending>();
  readonly #bytesTo = new Map<string, number>();
  #bytes = 0;

  /**
   * Counts a body until its response is finished.
   * @returns why it can't be sent now; null if it can
   */
  admit(request: FastifyRequest, reply: FastifyReply, body: Buffer): Problem | null {
    if (body.length < LARGE) return null;
    let sending = this.#bodies.get(body);
    if (!sending) {
      const address = addressOf(request);
      const refusal = this.#refusalOf(address, body.length);
      if (refusal) return refusal;
      sending = { address, clients: 0 };
      this.#bodies.set(body, sending);
      this.#count(address, body.length);
    }
    sending.clients += 1;
    whenFinished(request, reply, () => this.#finish(body, sending));
    return null;
  }

  #refusalOf(address: string, size: number): Problem | null {
    const toAddress = this.#bytesTo.get(address) ?? 0;
    const headers = { 'retry-after': '1' };
    // One body is always allowed, however large.
    if (toAddress > 0 && toAddress + size > MOST_TO_ADDRESS) {
      const detail = `Your address has not yet read ${toAddress} bytes of large responses; read them before you ask for more.`;
      return new Problem('rate-limited', detail, { headers });
    }
    if (this.#bytes > 0 && this.#bytes + size > MOST_BYTES) {
      const detail = 'The service is sending as many large responses as it can.';
      return new Problem('overloaded', detail, { headers });
    }
    return null;
  }

  #finish(body: Buffer, sending: Sending): void {
    sending.clients -= 1;
    if (sending.clients > 0) return;
    this.#bodies.delete(body);
    this.#count(sending.address, -body.length);
  }

  #count(address: string, bytes: number): void {
    this.#bytes += bytes;
    const toAddress = (this.#bytesTo.get(address) ?? 0) + bytes;
    if (toAddress === 0) this.#bytesTo.delete(address);
    else this.#bytesTo.set(address, toAddress);
  }
}
