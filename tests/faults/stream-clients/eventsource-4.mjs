import { EventSource } from 'eventsource-4';
import { report, TYPES } from './report.mjs';

const source = new EventSource(process.argv[2]);
for (const type of TYPES) {
  source.addEventListener(type, ({ data, lastEventId }) => report(type, lastEventId, data));
}
