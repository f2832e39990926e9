/** A member that a proposal changes: its path, its value now, and the proposed one, as text. */
export type Change = { member: string; now: string; proposed: string };

/**
 * What a proposal would change, member by member: objects are compared as deeply as the proposal goes, lists as a whole.
 * Members that stay are left out.
 * @param current the current version of the outlook; null for a new outlook
 */
export function changesOf(current: object | null, body: object): Change[] {
  return changesWithin([], current, body);
}

function changesWithin(path: readonly string[], current: unknown, body: object): Change[] {
  return Object.entries(body).flatMap(([name, proposed]) => {
    const here = [...path, name];
    const now = memberOf(current, name);
    if (isObject(proposed)) return changesWithin(here, now, proposed);
    const change = {
      member: here.join(' › '),
      now: textOf(now),
      proposed: proposed === null ? 'removed' : textOf(proposed),
    };
    return change.now === change.proposed || (proposed === null && now == null) ? [] : [change];
  });
}

function memberOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '–';
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.length === 0) return '–';
  return JSON.stringify(value, null, 1);
}
