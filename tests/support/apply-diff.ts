import type { Comparable, ListName, VersionDiff } from '../../src/domain/diff.ts';
import type { Framework } from '../../src/domain/framework.ts';
import type { Alteration, Identity, ListDiff } from '../../src/domain/list-diff.ts';
import { probabilitiesOf } from '../../src/domain/probabilities.ts';

type Node = Record<string | number, unknown>;

/** What `to` says by the diff that leads to it; headwinds by rank. */
export function applyDiff(
  from: Comparable,
  { probabilities: { deltas }, fields, lists }: VersionDiff,
): Pick<Comparable, 'probabilities' | 'framework'> {
  const { bear, base, bull } = from.probabilities;
  const { headwinds } = from.framework;
  const ranked: Framework = {
    ...from.framework,
    headwinds: headwinds.toSorted((a, b) => a.rank - b.rank),
  };
  const list = <Name extends ListName>(name: Name, key: keyof Framework[Name][number]) =>
    applyList<Framework[Name][number]>(ranked[name], lists[name], key);
  return {
    probabilities: probabilitiesOf({
      bear: bear + deltas.bear,
      base: base + deltas.base,
      bull: bull + deltas.bull,
    }),
    framework: {
      ...withFields(ranked, fields),
      headwinds: list('headwinds', 'key'),
      drawdownLabels: list('drawdownLabels', 'key'),
      invalidationConditions: list('invalidationConditions', 'key'),
      risks: list('risks', 'area'),
      positioning: list('positioning', 'investorType'),
      metrics: list('metrics', 'name'),
      faqs: list('faqs', 'question'),
      references: list('references', 'title'),
    },
  };
}

/** The diff that leads the other way. */
export function invert({ probabilities, fields, lists }: VersionDiff): VersionDiff {
  const { from, to, deltas, totalVariation } = probabilities;
  return {
    probabilities: {
      from: to,
      to: from,
      deltas: { bear: 0 - deltas.bear, base: 0 - deltas.base, bull: 0 - deltas.bull },
      totalVariation,
    },
    fields: fields.map(invertField),
    lists: {
      headwinds: invertList(lists.headwinds),
      drawdownLabels: invertList(lists.drawdownLabels),
      invalidationConditions: invertList(lists.invalidationConditions),
      risks: invertList(lists.risks),
      positioning: invertList(lists.positioning),
      metrics: invertList(lists.metrics),
      faqs: invertList(lists.faqs),
      references: invertList(lists.references),
    },
  };
}

/** The identity of each entry, as text. */
function identities<Entry>(entries: readonly Entry[], member: keyof Entry): string[] {
  const keys = entries.map((entry) => String(entry[member]));
  return keys.map((key, index) => {
    const occurrence = keys.slice(0, index + 1).filter((other) => other === key).length;
    return nameOf({ key, occurrence });
  });
}

function nameOf({ key, occurrence }: Identity): string {
  return JSON.stringify([key, occurrence]);
}

function applyList<Entry>(
  from: readonly Entry[],
  { added, removed, altered, moved }: ListDiff<Entry>,
  member: keyof Entry,
): Entry[] {
  const left = new Map(identities(from, member).map((name, index) => [name, from[index]]));
  for (const entry of removed) left.delete(nameOf(entry));
  for (const { fields, ...identity } of altered) {
    const name = nameOf(identity);
    left.set(name, withFields(left.get(name), fields));
  }
  const result = new Map(added.map(({ index, entry }) => [index, entry as Entry | undefined]));
  for (const { to, ...identity } of moved) {
    const name = nameOf(identity);
    result.set(to, left.get(name));
    left.delete(name);
  }
  const length = result.size + left.size;
  const inPlace = left.values();
  return Array.from({ length }, (_, index) =>
    result.has(index) ? result.get(index) : inPlace.next().value,
  ) as Entry[];
}

function withFields<Part>(part: Part, fields: readonly Alteration[]): Part {
  const copy = structuredClone(part);
  for (const { path, after } of fields) {
    const holder = path.slice(0, -1).reduce((node, name) => node[name] as Node, copy as Node);
    holder[path.at(-1) ?? ''] = after;
  }
  return copy;
}

function invertField({ path, before, after }: Alteration): Alteration {
  return { path, before: after, after: before };
}

function invertList<Entry>({ added, removed, altered, moved }: ListDiff<Entry>): ListDiff<Entry> {
  return {
    added: removed,
    removed: added,
    altered: altered.map(({ fields, ...identity }) => ({
      ...identity,
      fields: fields.map(invertField),
    })),
    moved: moved.map(({ from, to, ...identity }) => ({ ...identity, from: to, to: from })),
  };
}
