// The load generator. It is a process of its own, so that its CPU is not counted with the service's.
import { randomUUID } from 'node:crypto';
import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import autocannon from 'autocannon';
import { type Figures, percentiles } from './figures.ts';
import type { FullSpeed, Paced, Shot, Shots } from './load.ts';
import { cpuOf } from './processes.ts';
import { answerJobs } from './workers.ts';

answerJobs((job: FullSpeed | Paced) => (job.kind === 'paced' ? pace(job) : fullSpeed(job)));

async function fullSpeed(job: FullSpeed): Promise<Figures> {
  if (job.warmUp) await shoot(job.warmUp, job.warmUp.seconds, job.status);
  return metered(job.pid, () => shoot(job, job.seconds, job.status));
}

/** The latency of each response, and the time from the start to the last one, in milliseconds. */
type Heard = { latencies: number[]; elapsed: number };

async function shoot(
  { origin, dealt }: Shots,
  seconds: number | 'once',
  status: number,
): Promise<Heard> {
  etags.clear(); // a request that was cut off at the end may have published a version
  const wrong = new Map<number, number>();
  const latencies: number[] = [];
  const began = performance.now();
  let ended = began;
  let hands = 0;
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(
      {
        url: origin,
        connections: dealt.length,
        ...(seconds === 'once' ? { amount: dealt.flat().length } : { duration: seconds }),
        timeout: 20,
        bailout: 20,
        sampleInt: 20, // milliseconds after which it sees that it is done
        // Copies, because autocannon keeps state in each. Not `requests`: all connections would start with the first.
        setupClient: (client) =>
          client.setRequests((dealt[hands++ % dealt.length] ?? []).map(requestOf)),
      },
      (error: Error | null, result) => (error ? reject(error) : resolve(result)),
    );
    // autocannon's own histogram counts whole milliseconds.
    instance.on('response', (_, code, __, latency) => {
      ended = performance.now();
      latencies.push(latency);
      if (code !== status) wrong.set(code, (wrong.get(code) ?? 0) + 1);
    });
  });
  const faults = [...wrong].map(([code, count]) => `${count} times ${code}`);
  if (result.errors > 0) faults.push(`${result.errors} errors`);
  if (faults.length > 0) throw new Error(`not every response was ${status}: ${faults.join(', ')}`);
  return { latencies, elapsed: ended - began };
}

/** The ETags of the last responses, by path. */
const etags = new Map<string, string>();

function requestOf({ isGuarded, ...shot }: Shot): autocannon.Request {
  if (!isGuarded) return { ...shot };
  const { path, headers } = shot;
  return {
    ...shot,
    setupRequest: (request) => {
      const etag = etags.get(path);
      const condition = etag === undefined ? {} : { 'if-match': etag };
      const key = `"${randomUUID()}"`;
      return { ...request, headers: { ...headers, ...condition, 'idempotency-key': key } };
    },
    onResponse: (_status, _body, _context, answered = {}) => {
      const [, etag] =
        Object.entries(answered).find(([name]) => name.toLowerCase() === 'etag') ?? [];
      if (typeof etag === 'string') etags.set(path, etag);
    },
  };
}

/**
 * A reader at a steady rate. Not autocannon's rate limit, which sends a second's worth at once and waits. If a response
 * is late, the delay counts as latency of the next request on its connection.
 */
async function pace(job: Paced): Promise<Figures> {
  const agent = new Agent({ keepAlive: true, maxSockets: job.connections });
  const interval = (1000 * job.connections) / job.perSecond;
  const latencies: number[] = [];
  try {
    return await metered(job.pid, async () => {
      const began = performance.now();
      const ends = began + job.seconds * 1000;
      const connection = async (index: number) => {
        let free = began;
        let due = began + (interval * index) / job.connections;
        for (; due < ends; due += interval) {
          await delay(Math.max(0, due - performance.now()));
          const from = free > due ? due : performance.now();
          await read(job, agent);
          free = performance.now();
          latencies.push(free - from);
        }
      };
      await Promise.all(Array.from({ length: job.connections }, (_, index) => connection(index)));
      return { latencies, elapsed: performance.now() - began };
    });
  } finally {
    agent.destroy();
  }
}

function read({ origin, path }: Paced, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(origin + path, { agent, timeout: 20_000 }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${path} answered ${response.statusCode}`));
      response.resume().once('end', resolve).once('error', reject);
    });
    request.once('error', reject).once('timeout', () => request.destroy(new Error('timed out')));
  });
}

/** Counts the CPU that the measured process and the generator use during the work. */
async function metered(pid: number, work: () => Promise<Heard>): Promise<Figures> {
  const [before, own] = [cpuOf(pid), process.cpuUsage()];
  const { latencies, elapsed } = await work();
  const [after, { user, system }] = [cpuOf(pid), process.cpuUsage(own)];
  const requests = latencies.length;
  return {
    requests,
    rate: (requests * 1000) / elapsed,
    ...percentiles(latencies),
    cpu: before === null || after === null ? null : (after - before) / requests,
    generator: (user + system) / 1000 / elapsed,
  };
}
