import { createHash } from 'node:crypto';
import type { Role } from '../../src/domain/api-keys.ts';
import { REQUEST_EXAMPLES } from '../../src/http/openapi/examples.ts';
import { SLUG, type TestLedger } from './ledger.ts';

/** Bodies of responses by operation and by status and media type: `getOutlook` → `200 application/json`. */
export type Recorded = Record<string, Record<string, unknown>>;

type Operation = {
  operationId: string;
  parameters?: { name?: string; in?: string }[];
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, unknown>;
};
type Described = Operation & { method: string; path: string };

export type Step = {
  /** What stands in the path in place of the sample's names. */
  path?: Record<string, string>;
  query?: string;
  /** The body, or the name of an example of it; the first one unless given. */
  body?: string | object;
  type?: string;
  accept?: string;
  /** The admin unless given. */
  as?: Role;
  /** Whether the service refuses it. */
  isRefused?: boolean;
  /** Whether it is no fault if the service does not refuse it after all. */
  mayPass?: boolean;
};

const PATH: Record<string, string> = { slug: SLUG, symbol: 'RUT', version: '1' };

/** At most this much of a body is shown. */
const MOST_ENTRIES = 2;
const MOST_CHARACTERS = 160;
const MOST_LINES = 14;

/** Sends requests to a service and keeps its responses as examples. */
export class Recorder {
  readonly recorded: Recorded = {};
  readonly operations: Described[];
  readonly #ledger: TestLedger;
  /** What differs between runs, and what is written in its place. */
  readonly #names = new Map<string, string>();
  /** By the clock of the database, which writes some times itself. The ledger's clock in a run is before it. */
  readonly #startedAt = new Date(Date.now() - 3_600_000).toISOString();

  constructor(ledger: TestLedger) {
    this.#ledger = ledger;
    const { paths = {} } = ledger.app.swagger() as unknown as {
      paths?: Record<string, Record<string, Operation>>;
    };
    this.operations = Object.entries(paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ ...operation, method, path })),
    );
  }

  /**
   * Sends a request, a minute after the one before, and records the response. A refusal that is recorded is the example
   * of its status.
   * @returns the body, parsed if it is JSON
   */
  async record(operationId: string, step: Step = {}): Promise<Record<string, unknown>> {
    const { clock } = this.#ledger;
    clock.now = new Date(clock.now.getTime() + 60_000);
    const response = await this.#send(operationId, step);
    const isRefused = response.statusCode >= 400;
    if (isRefused !== (step.isRefused ?? false)) {
      if (step.mayPass) return {};
      throw new Error(`${operationId} answered ${response.statusCode}: ${response.body}`);
    }
    const type = String(response.headers['content-type'] ?? '').split(';', 1)[0] ?? '';
    const isJson = /[/+]json$/.test(type);
    const body: unknown = isJson ? response.json() : response.body;
    if (IS_BINARY.test(type) || response.body === '') return {};
    const own = (this.recorded[operationId] ??= {});
    own[`${response.statusCode} ${type}`] = this.#settled(shortened(body), '');
    return body as Record<string, unknown>;
  }

  /** Records what each operation answers to a name that nothing has, and to a request that is not valid. */
  async recordRefusals(): Promise<void> {
    for (const { operationId, path, parameters = [], requestBody, responses } of this.operations) {
      const names = parameters.filter((one) => one.in === 'path').map(({ name }) => String(name));
      const last = names.toSorted((a, b) => path.indexOf(`{${a}}`) - path.indexOf(`{${b}}`)).at(-1);
      const unknown = { ...UNKNOWN, ...(path.includes('{slug}') && { slug: SLUG }) };
      if ('404' in responses && last !== undefined) {
        const missing = { ...unknown, [last]: UNKNOWN[last] ?? 'no-such-name' };
        const body = Object.values(REQUEST_EXAMPLES[operationId] ?? {})[0]?.value as object;
        await this.record(operationId, {
          path: missing,
          as: 'admin',
          isRefused: true,
          mayPass: true,
          ...(body && { body }),
        });
      }
      if (!('422' in responses)) continue;
      const isBodied = requestBody !== undefined;
      await this.record(operationId, {
        path: unknown,
        as: 'admin',
        isRefused: true,
        mayPass: true,
        ...(isBodied ? { body: { pretty: true } } : { query: '?pretty=true' }),
      });
    }
  }

  /** Records a text that was read otherwise, such as the beginning of a stream. */
  note(operationId: string, key: string, text: string): void {
    (this.recorded[operationId] ??= {})[key] = this.#settled(text, '');
  }

  async #send(
    operationId: string,
    { path = {}, query = '', body, type, accept, as = 'admin' }: Step,
  ) {
    const operation = this.operations.find((one) => one.operationId === operationId);
    if (!operation) throw new Error(`The document has no operation ${operationId}`);
    const named = { ...PATH, ...path };
    const url = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => named[name] ?? name);
    const [mediaType = ''] = Object.keys(operation.requestBody?.content ?? {});
    const payload = body ?? Object.keys(REQUEST_EXAMPLES[operationId] ?? {})[0];
    const example = typeof payload === 'string' && REQUEST_EXAMPLES[operationId]?.[payload];
    const value = example ? example.value : payload;
    const key = this.#ledger.keys[as];
    return this.#ledger.app.inject({
      method: operation.method.toUpperCase() as 'GET',
      url: url + query,
      headers: {
        authorization: `Bearer ${key}`,
        ...(accept && { accept }),
        ...(operation.requestBody && { 'content-type': type ?? mediaType }),
      },
      ...(operation.requestBody && {
        payload: typeof value === 'string' ? value : JSON.stringify(value),
      }),
    });
  }

  /** A copy in which what differs from run to run is always the same. */
  #settled(value: unknown, member: string): unknown {
    if (Array.isArray(value)) return value.map((entry) => this.#settled(entry, member));
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(
        Object.entries(value).map(([name, child]) => [name, this.#settled(child, name)]),
      );
    }
    if (typeof value === 'number' && member === 'milliseconds') return 12;
    if (typeof value !== 'string') return value;
    if (member === 'nextPullAt') return value.replace(/T.*/, 'T14:32:00.000Z'); // a little at random
    if (member === 'vkey') return VKEY;
    if (value.startsWith('c2sp.org/tlog-proof@v1\n')) return PROOF;
    if (value.startsWith('ledger.example/log/1\n')) return CHECKPOINT;
    if (/cursor/i.test(member)) return 'WyJydXNzZWxsLTIwMDAtZG93bnNpZGUiLDJd';
    return value
      .replace(RECEIVER, 'https://hooks.desk.example/ledger')
      .replace(TAKEN, '$<member>12')
      .replace(TIME, (text) => (text < this.#startedAt ? text : '2026-11-23T12:00:00.000Z'))
      .replace(RANDOM, (text) => this.#nameOf(text));
  }

  #nameOf(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const digest = createHash('sha256').update(`example ${this.#names.size}`).digest();
    const hex = digest.toString('hex');
    let name = hex.slice(0, 8);
    if (text.startsWith('sha256:')) name = `sha256:${hex}`;
    else if (text.startsWith('olk_'))
      name = `olk_${digest.toString('base64url')}`.slice(0, text.length);
    else if (text.startsWith('whsec_')) name = `whsec_${digest.toString('base64')}`;
    else if (text.length === 44) name = digest.toString('base64');
    else if (text.length === 64) name = hex;
    else if (text.length === 36)
      name = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
    else if (text.includes('-')) name = `${text.split('-', 1)[0]}-${name}`;
    this.#names.set(text, name);
    return name;
  }
}

/** Types whose bodies the document can't show. */
const IS_BINARY = /^(image\/|application\/octet-stream$)/;

const UNKNOWN: Record<string, string> = {
  slug: 'no-such-outlook',
  version: '99',
  key: 'no-such-key',
  symbol: 'NONE',
  code: 'no-such-problem',
  id: '00000000-0000-4000-8000-000000000000',
  analyst: '00000000-0000-4000-8000-000000000000',
};

/** The address of a receiver on this machine. */
const RECEIVER = /http:\/\/127\.0\.0\.1:\d+\/hook/g;

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;

/** How long a delivery took, in JSON within CSV. */
const TAKEN = /(?<member>""milliseconds"":)\d+/g;

/** A proof as receipts have it. How many leaves there are differs from run to run. */
const PROOF = `c2sp.org/tlog-proof@v1
index 1
wjHDzZ2oVZbyL9jIGZ2uWCDLyoKyDqHEnh2XoIAMFlo=

ledger.example/log/1
2
3hb+ymkfvtPmb3oW5NX0wTVeaUyiUj1I/Az8nuLkrFs=

— ledger.example/log/1 kp/VxBBxJ8pONkb9swXffh7fem2Mbmuyy9Cou+71dJbIwDL7kIjAX//IQFaCCgi0PqHvWjx1+59HkEPzZhJqgO0ofA0=
`;
/** The checkpoint in the proof. */
const CHECKPOINT = PROOF.slice(PROOF.indexOf('\n\n') + 2);
const VKEY = 'ledger.example/log/1+929fd5c4+AUvq3isjNDC5cYuqzs8P4FHLIqILbXmlqfxa2HOI4vc8';

/** UUIDs, hashes, keys, secrets and the ids of events. */
const RANDOM =
  /sha256:[0-9a-f]{64}|[0-9a-f]{64}|[A-Za-z0-9+/]{43}=|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|olk_[\w-]{4,43}|whsec_[\w+/]+=*|\b\d+-[0-9a-f]{8}\b/g;

/** Lists with their first entries and long texts with their beginning: enough to see what they are. */
function shortened(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, MOST_ENTRIES).map(shortened);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, child]) => [name, shortened(child)]),
    );
  }
  if (typeof value !== 'string') return value;
  if (value.includes('\n') && value.split('\n').length > MOST_LINES) {
    return `${value.split('\n').slice(0, MOST_LINES).join('\n')}\n…\n`;
  }
  const isProse = value.includes(' ') && !value.includes('\n');
  return isProse && value.length > MOST_CHARACTERS
    ? `${value.slice(0, value.lastIndexOf(' ', MOST_CHARACTERS))} …`
    : value;
}
