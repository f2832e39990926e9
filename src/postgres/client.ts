import { callbackify } from 'node:util';
import pg from 'pg';
import { driverConfig } from './connection-url.ts';
import {
  type ConnectionFacts,
  pinningStatements,
  readFacts,
  type SessionLimits,
} from './session-settings.ts';

/** Starts a transaction. Each of its statements sees what is committed by then. */
export const BEGIN = 'begin isolation level read committed';

/**
 * A connection whose statements mean the same whatever settings its role, its database or its URL have. On a direct
 * connection, it pins the settings once, when it connects. Behind a pooler, which may give each transaction another
 * connection, each transaction begins with them, and a statement outside one gets a transaction of its own.
 */
export class LedgerClient extends pg.Client {
  readonly #limits: SessionLimits;
  #isPooled = false;

  /** Takes what `pg.Client` takes. Limits are set after the start of the session, because poolers refuse them there. */
  constructor(config: pg.ClientConfig = {}) {
    const { statement_timeout, lock_timeout, idle_in_transaction_session_timeout, ...rest } =
      config;
    // A pool hides its password from copies of its options.
    const given = { ...rest, password: config.password };
    const { connectionString } = rest;
    super(connectionString === undefined ? given : { ...given, ...driverConfig(connectionString) });
    this.#limits = {
      statement_timeout: statement_timeout || 0,
      lock_timeout: lock_timeout ?? 0,
      idle_in_transaction_session_timeout: idle_in_transaction_session_timeout ?? 0,
    };
    this.on('error', () => {}); // the running statement reports it
  }

  /** Whether a pooler is in between. Then nothing lasts for a session: no LISTEN, no SET, no session lock, no temporary table. */
  get isPooled(): boolean {
    return this.#isPooled;
  }

  override connect(): Promise<this>;
  override connect(callback: (error: Error | null) => void): void;
  override connect(callback?: (error: Error | null) => void): Promise<this> | void {
    const connected = this.#connect();
    if (!callback) return connected;
    callbackify(() => connected)(callback);
  }

  async #connect(): Promise<this> {
    await super.connect();
    try {
      await this.#pin(await readFacts(this));
    } catch (error) {
      void this.end(); // the pool knows nothing of a connection that it did not get
      throw error;
    }
    return this;
  }

  async #pin(facts: ConnectionFacts): Promise<void> {
    if (facts.skipsTriggers) {
      throw new Error(
        `session_replication_role of the role ${facts.role} is replica, which switches the ledger's guards off. Run: ALTER ROLE ${facts.role} RESET session_replication_role; (or ALTER DATABASE …)`,
      );
    }
    // The process that PostgreSQL names at the start is the one that serves the connection. A pooler names another.
    this.#isPooled = this.#startedAs() !== facts.pid;
    const scope = this.#isPooled ? 'local' : 'session';
    const pinning = pinningStatements(scope, facts, this.#limits);
    if (this.#isPooled) pinTransactions(this, pinning);
    else await this.query(pinning);
  }

  #startedAs(): unknown {
    return (this as unknown as { processID?: unknown }).processID;
  }
}

type Send = (...args: unknown[]) => Promise<unknown>;
type Statement = { text: string; values?: unknown[]; name?: string; submit?: unknown };

const BEGINS = /^\s*(begin|start\s+transaction)\b/i;
// PostgreSQL refuses these in a transaction.
const RUNS_OUTSIDE_TRANSACTION =
  /^(\s|--.*\n)*((create|drop|reindex)\b[^;]*\bconcurrently\b|(create|drop)\s+database\b|vacuum\b|alter\s+system\b)/i;

/**
 * Makes every transaction of a connection start with `pinning`, and gives each statement outside one a transaction of its
 * own. Statements lose their names: a prepared statement stays behind on the connection that the pooler takes away.
 */
function pinTransactions(client: pg.Client, pinning: string): void {
  const send = client.query.bind(client) as unknown as Send;
  let turn: Promise<unknown> = Promise.resolve();
  let isInOwnTransaction = false;

  const inTurn = (work: () => Promise<unknown>) => {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  };
  const runInOwnTransaction = async (statement: Statement) => {
    isInOwnTransaction = true;
    try {
      await send(`${BEGIN}; ${pinning}`);
      const result = await send(statement);
      await send('commit');
      return result;
    } catch (error) {
      // A statement that got no answer is still under way; the caller closes its connection.
      const mayRollBack = (error as Error).message !== 'Query read timeout';
      if (mayRollBack && client.getTransactionStatus() !== 'I') {
        await send('rollback').catch(() => {});
      }
      throw error;
    } finally {
      isInOwnTransaction = false;
    }
  };
  const query = (statement: Statement): Promise<unknown> => {
    const { text } = statement;
    const isInTransaction = !isInOwnTransaction && client.getTransactionStatus() !== 'I';
    if (isInTransaction) return send(statement);
    if (BEGINS.test(text)) return inTurn(() => send(`${text}; ${pinning}`));
    if (RUNS_OUTSIDE_TRANSACTION.test(text)) return inTurn(() => send(statement));
    return inTurn(() => runInOwnTransaction(statement));
  };
  const pinned = (config: string | Statement, ...rest: unknown[]) => {
    if (typeof config === 'object' && config.submit) return send(config, ...rest); // a COPY
    const callback = typeof rest.at(-1) === 'function' ? (rest.pop() as Callback) : null;
    const given = typeof config === 'string' ? { text: config } : config;
    const values = given.values ?? (rest[0] as unknown[] | undefined);
    const { name: _, ...statement } = { ...given, ...(values && { values }) };
    if (!callback) return query(statement);
    callbackify(query)(statement, callback);
    return undefined;
  };
  client.query = pinned as unknown as typeof client.query;
}

type Callback = (error: Error | null, answer?: unknown) => void;
