import EventSource from 'eventsource-2';
import { report, TYPES } from './report.mjs';

const source = new EventSource(process.argv[2]);
for (const type of TYPES) {
  source.addEventListener(type, ({ data, lastEventId }) => {
    // This release keeps the data of an event that was cut off, and puts it before that of the next one.
    if (type === 'stream.opened') report(type, lastEventId, data.split('\n').at(-1));
    else report(type, lastEventId, data);
  });
}
