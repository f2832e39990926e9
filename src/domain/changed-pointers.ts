/** The most places that a comparison names. */
const MOST = 100;
/** Deeper than any request: what is below counts as one value. */
const MOST_DEPTH = 16;

/**
 * The places at which two values of JSON differ, as JSON Pointers (RFC 6901), at most {@link MOST}. Lists are compared entry by
 * entry.
 */
export function changedPointers(before: unknown, after: unknown): string[] {
  const found: string[] = [];
  collect(before, after, '', 0, found);
  return found;
}

function collect(
  before: unknown,
  after: unknown,
  pointer: string,
  depth: number,
  found: string[],
): void {
  if (found.length >= MOST || before === after) return;
  if (!isBranch(before) || !isBranch(after) || depth >= MOST_DEPTH) {
    if (JSON.stringify(before) !== JSON.stringify(after)) found.push(pointer);
    return;
  }
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  for (const name of names) {
    const escaped = name.replaceAll('~', '~0').replaceAll('/', '~1');
    collect(
      memberOf(before, name),
      memberOf(after, name),
      `${pointer}/${escaped}`,
      depth + 1,
      found,
    );
  }
}

function isBranch(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function memberOf(value: object, name: string): unknown {
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}
