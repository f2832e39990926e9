import { describe, expect, test } from 'vitest';
import { DOCUMENT } from '../../support/openapi.ts';

// What code generators are known to stumble over. tests/generated-clients runs the generators themselves.

type Node = Record<string, unknown>;
const { schemas } = DOCUMENT.components as unknown as { schemas: Record<string, Node> };

/** Every object of the document outside of examples, by its place. */
const NODES = nodesOf(DOCUMENT, '');

function nodesOf(value: unknown, place: string): [string, Node][] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.entries(value)
    .filter(([key]) => key !== 'example' && key !== 'examples')
    .flatMap(([key, child]) => nodesOf(child, `${place}/${key}`));
  return Array.isArray(value) ? inner : [[place, value as Node], ...inner];
}

const placesOf = (isFaulty: (node: Node) => boolean): string[] =>
  NODES.filter(([, node]) => isFaulty(node)).map(([place]) => place);

describe('for code generators, the document', () => {
  test('has no pattern beside a format that generated clients parse', () => {
    const parsed = ['date-time', 'date', 'uuid'];
    expect(
      placesOf(({ pattern, format }) => pattern !== undefined && parsed.includes(String(format))),
    ).toEqual([]);
  });

  test('has no union but that of one type and null', () => {
    const isUnion = ({ anyOf, oneOf, allOf, type }: Node) =>
      oneOf !== undefined ||
      allOf !== undefined ||
      formsOf(anyOf).length > 1 ||
      formsOf(Array.isArray(type) ? type.map((name) => ({ type: name as string })) : []).length > 1;
    expect(placesOf(isUnion)).toEqual([]);
    expect(schemas['Rule']).toMatchObject({ type: 'object' });
    expect(schemas['Rule']).not.toHaveProperty('required');
  });

  test('says how many bits each number has', () => {
    const isNumber = ({ type }: Node) => [type].flat().includes('number');
    expect(placesOf((node) => isNumber(node) && node['format'] !== 'double')).toEqual([]);
    const integers = NODES.filter(([, { type }]) => [type].flat().includes('integer'));
    const placesWith = (wanted: string) =>
      integers.filter(([, { format }]) => format === wanted).map(([place]) => place);
    expect([...placesWith('int32'), ...placesWith('int64')]).toHaveLength(integers.length);
    expect(placesWith('int64')).toEqual(
      expect.arrayContaining([
        '/components/schemas/AuditEntry/properties/id',
        '/components/schemas/AuditEntry/properties/times',
        '/components/schemas/WebhookDelivery/properties/event',
      ]),
    );
  });

  test('has only choices that can be names', () => {
    const isFaulty = ({ enum: values }: Node) =>
      Array.isArray(values) && !values.every((value) => /[a-z0-9]/i.test(String(value)));
    expect(placesOf(isFaulty)).toEqual([]);
  });

  test('gives no two schemas the same name, those in place included', () => {
    const names = [
      ...Object.keys(schemas),
      ...Object.entries(schemas).flatMap(([name, schema]) => namesWithin(name, schema)),
    ].map((name) => name.toLowerCase());
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test('uses no keyword that generators ignore', () => {
    const ignored = ['not', 'if', 'prefixItems', 'patternProperties', 'dependentSchemas'];
    expect(placesOf((node) => ignored.some((keyword) => keyword in node))).toEqual([]);
  });
});

/** The names that openapi-python-client and openapi-generator make for schemas in place: `ClaimTarget` in `Claim`. */
function namesWithin(name: string, schema: Node): string[] {
  const { properties = {}, items, anyOf } = schema;
  const inner = [
    ...Object.entries(properties as Record<string, Node>).map(([member, one]): [string, Node] => [
      name + member.charAt(0).toUpperCase() + member.slice(1),
      one,
    ]),
    ...(items ? [[`${name}Item`, items as Node] satisfies [string, Node]] : []),
    ...((anyOf ?? []) as Node[]).map((one): [string, Node] => [name, one]),
  ];
  return inner.flatMap(([own, one]) => [
    ...(one['properties'] || one['enum'] ? [own] : []),
    ...namesWithin(own, one),
  ]);
}

function formsOf(anyOf: unknown): Node[] {
  return ((anyOf ?? []) as Node[]).filter(({ type }) => type !== 'null');
}
