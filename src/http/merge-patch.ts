/** Deeper than any framework; below it a patch can only hold what validation refuses. */
const MOST_DEPTH = 16;

/**
 * Applies a JSON Merge Patch: the procedure of RFC 7396, section 2, on copies. What a null takes away
 * stays as undefined, so that a name that was never there can still be told.
 *
 * Written here because the published package changes its target in place and recurses as deep as the
 * client's document goes.
 */
export function mergePatch(target: unknown, patch: unknown, depth = 0): unknown {
  if (!isObject(patch) || depth > MOST_DEPTH) return patch;
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.set(name, undefined);
    else merged.set(name, mergePatch(merged.get(name), value, depth + 1));
  }
  return Object.fromEntries(merged);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
