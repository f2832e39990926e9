import { report } from './report.mjs';

// It is made for browsers.
globalThis.window = globalThis;
globalThis.document = { addEventListener() {}, removeEventListener() {}, hidden: false };
const { fetchEventSource } = await import('@microsoft/fetch-event-source');

await fetchEventSource(process.argv[2], {
  headers: { Authorization: `Bearer ${process.argv[3]}` },
  openWhenHidden: true,
  onmessage: ({ event, id, data }) => report(event || 'message', id, data),
  // It takes the end of a stream for the end of all, unless this throws.
  onclose: () => {
    throw new Error('ended');
  },
  onerror: () => {},
});
