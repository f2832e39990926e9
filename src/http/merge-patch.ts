/** Deeper than any framework: validation refuses whatever a patch has below. */
const MOST_DEPTH = 16;

/**
 * Applies a JSON Merge Patch: the procedure of RFC 7396, section 2, on copies. A member that null
 * removes stays as undefined, so that validation still sees a name that is unknown.
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
