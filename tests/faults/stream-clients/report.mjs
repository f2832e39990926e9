/** Prints an event as a line of JSON, as it arrives. */
export function report(type, id, data) {
  process.stdout.write(`${JSON.stringify({ type, id, data: JSON.parse(data) })}\n`);
}

/** The types that clients of EventSource have to name, and the one of a block without a type. */
export const TYPES = ['stream.opened', 'stream.reset', 'outlook.version.published', 'message'];
