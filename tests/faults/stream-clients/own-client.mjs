import { createClient } from '@outlook-ledger/client';
import { report } from './report.mjs';

const { origin } = new URL(process.argv[2]);
const events = createClient({ baseUrl: origin, key: process.argv[3] }).subscribe({
  onOpen: ({ lastEventId }) => report('stream.opened', lastEventId, '{}'),
});
for await (const { type, id, data } of events) report(type, id, JSON.stringify(data));
