import { createClient } from '@outlook-ledger/client';

// Walks all versions of an outlook, and prints their count, the lowest, and the heap in bytes after each tenth.
const [, , baseUrl, slug, count] = process.argv;
const ledger = createClient({ baseUrl });
const params = { path: { slug } };
const heaps = [];
let walked = 0;
let last = Number(count) + 1;
for await (const { version } of ledger.paginate('/v1/outlooks/{slug}/versions', { params })) {
  if (version !== last - 1) throw new Error(`version ${version} follows version ${last}`);
  last = version;
  walked += 1;
  if (walked % (count / 10) === 0) {
    globalThis.gc();
    heaps.push(process.memoryUsage().heapUsed);
  }
}
process.stdout.write(JSON.stringify({ walked, last, heaps }));
