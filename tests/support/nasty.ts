import { SAMPLE_EVIDENCE, SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';

// What would be markup in HTML, SVG, XML, Markdown, a spreadsheet, or would turn the text around it.
const MARKUP = `<script>alert("x")</script> 'a' & "b" &lt;i&gt; ]]> --> | \`c\` *d* _e_ [f](javascript:alert(1)) <http://g> \${h} {{i}} שלום עולם \u200f مرحبا 漢字 🐻`;

/** A text of one line, as long as one may be. */
export const nastyLine = (name: string): string =>
  `=${name} ${MARKUP} `.padEnd(299, 'W').concat('!');

/** A text of several paragraphs and more than 10,000 characters, one of them a word of 3,000. */
export const nastyProse = (name: string): string =>
  [
    `=${name} ${MARKUP}`,
    `# no heading\n- no list\n1. no list\n> no quotation\n\`\`\`\n    no code\n---\n\u202Eturned\u202C`,
    'Donaudampfschiff'.repeat(200),
    `${MARKUP} `.repeat(45).trim(),
  ].join('\n\n');

const LINES = new Set([
  'title',
  'label',
  'area',
  'investorType',
  'name',
  'question',
  'publisher',
  'unit',
  'source',
  'display',
  'watchpoints',
  'headline',
  'symbol',
]);
const KEPT = new Set([
  'slug',
  'instrument',
  'horizon',
  'key',
  'invalidates',
  'rule',
  'direction',
  'provenance',
  'asOf',
  'publishedOn',
  'publishedAt',
  'url',
  'effect',
  'target',
  'range',
  'corrects',
  'probabilities',
  'returnBand',
  'tickers',
]);

function nasty(value: unknown, name: string): unknown {
  if (KEPT.has(name)) return value;
  if (Array.isArray(value))
    return value.map((entry, index) =>
      nasty(entry, typeof entry === 'string' ? name : `${name}${index}`),
    );
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([member, inner]) => [member, nasty(inner, member)]),
    );
  }
  if (typeof value !== 'string') return value;
  return LINES.has(name) ? nastyLine(name) : nastyProse(name);
}

/** The sample with such text in every field of text; within a list, the fields that identify entries differ. */
export function nastyOutlook(slug: string): Record<string, unknown> {
  const made = nasty(structuredClone(SAMPLE_OUTLOOK), '') as Record<string, unknown>;
  return { ...numbered(made), slug };
}

/** The sample's evidence likewise. */
export function nastyEvidence(): Record<string, unknown> {
  const made = nasty(structuredClone(SAMPLE_EVIDENCE), '') as Record<string, unknown>;
  return {
    ...made,
    publishedAt: '2026-11-20T15:00:00Z', // the tests' clock stands before the sample's news
    sentiment: {
      ...(SAMPLE_EVIDENCE['sentiment'] as object),
      label: nastyLine('label'),
      provider: nastyLine('provider'),
    },
  };
}

function numbered(outlook: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(outlook).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map((entry, index) => numberedEntry(entry, index)) : value,
    ]),
  );
}

function numberedEntry(entry: unknown, index: number): unknown {
  if (typeof entry !== 'object' || entry === null) return entry;
  return Object.fromEntries(
    Object.entries(entry).map(([name, value]) => [
      name,
      typeof value === 'string' && LINES.has(name)
        ? `${value.slice(0, 297)}${String(index).padStart(2, '0')}!`
        : value,
    ]),
  );
}
