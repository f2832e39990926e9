import { z } from 'zod';
import type { Fault } from '../domain/errors.ts';
import { importQuery } from '../api/schemas/series-files.ts';
import { DELIMITERS, PROVIDERS } from '../domain/file-columns.ts';
import { credentialIn, EVERY_MINUTES, PROVIDER_IDS, SOURCE_KINDS } from '../domain/pulls.ts';
import { slug, timestamp, webAddress, withRule } from '../http/fields.ts';
import { withoutSecrets } from '../http/logging.ts';
import { DECIMAL_MARKS } from '../domain/written-numbers.ts';

const kind = z
  .enum(SOURCE_KINDS, {
    error: ({ input }) =>
      input === undefined ? 'is required' : `must be one of ${SOURCE_KINDS.join(', ')}`,
  })
  .meta({
    description:
      "`fred`: FRED, with the operator's key. `ecb`: the ECB's data portal. `stooq`: Stooq. `url`: a CSV file at any URL.",
  });

/** Of a name in DNS (RFC 1035, 2.3.4), as text. */
const LONGEST_HOST = 253;

const url = webAddress
  .refine(
    (text) => {
      if (!URL.canParse(text)) return true; // reported already
      const { username, password } = new URL(text);
      // Also in the words of Postgres: an empty user, or one after a backslash.
      return username === '' && password === '' && !/^https?:\/\/[^/?#]*@/.test(text);
    },
    { error: 'must not contain a user or password, because the source can be read' },
  )
  .refine((text) => !URL.canParse(text) || new URL(text).hostname.length <= LONGEST_HOST, {
    error: `must have a host name of at most ${LONGEST_HOST} characters`,
  })
  .refine((text) => !text.includes('#'), { error: 'must not have a fragment, which is never sent' })
  .superRefine((text, context) => {
    if (!URL.canParse(text)) return;
    const name = credentialIn(new URL(text));
    if (name === null && withoutSecrets(text) === text) return;
    const what = name === null ? 'a key or token' : `the query parameter ${name}`;
    context.addIssue(
      `must not contain ${what}, because the source can be read: fetch the file yourself and import it`,
    );
  })
  .meta({
    description:
      'For `url`: an https URL at a public address, without a user, a password, or a query parameter that looks like a key. Null for a provider.',
  });

const everyMinutes = z
  .int({ error: `must be a whole number in ${EVERY_MINUTES.min}–${EVERY_MINUTES.max}` })
  .min(EVERY_MINUTES.min)
  .max(EVERY_MINUTES.max)
  .meta({ description: 'Minutes between two pulls: 15 to 44640, which is 31 days.' });

/** The format of a file, in the parameters of an import. */
const fileMembers = {
  format: importQuery.shape.format,
  dateColumn: importQuery.shape.dateColumn,
  valueColumn: importQuery.shape.valueColumn,
  dateFormat: importQuery.shape.dateFormat,
  decimal: importQuery.shape.decimal,
  delimiter: importQuery.shape.delimiter,
  missing: z.array(z.string().max(50)).max(20).optional().meta({
    description:
      'Texts that mean that a day has no value, besides an empty cell, `.`, `null`, `NaN`, `NA` and the like.',
  }),
};

const file = z.strictObject(fileMembers).meta({
  id: 'SourceFileInput',
  description:
    'The format of the file at a URL, as for an import. Whatever is left out is detected, if the file allows only one reading.',
});

export const sourceInput = withRule(
  z.strictObject({
    kind,
    id: z.string().max(300).nullable().default(null).meta({
      description:
        'For a provider: what it calls the series, such as `DGS10` (FRED), `EXR/D.USD.EUR.SP00.A` (ECB) or `^spx` (Stooq). Null for `url`.',
    }),
    url: url.nullable().default(null),
    file: file.nullable().default(null),
    everyMinutes: everyMinutes.default(EVERY_MINUTES.default),
  }),
  placeFaults,
).meta({
  id: 'SeriesSourceInput',
  description: 'Where a series is pulled from, and how often.',
  examples: [{ kind: 'fred', id: 'DGS10', everyMinutes: 1_440 }],
});

type Given = Partial<{
  kind: (typeof SOURCE_KINDS)[number];
  id: string | null;
  url: string | null;
  file: object | null;
}>;

function placeFaults({ kind, id, url, file }: Given): Fault[] {
  if (kind === undefined) return [];
  const faults: Fault[] = [];
  const add = (member: string, detail: string) => faults.push({ path: [member], detail });
  if (kind === 'url') {
    if (url === null) add('url', 'is required for the kind url');
    if (id !== null && id !== undefined) add('id', 'must be left out for the kind url');
    return faults;
  }
  const { pattern, detail } = PROVIDER_IDS[kind];
  if (id === null) add('id', `is required for the kind ${kind}, and ${detail}`);
  else if (id !== undefined && !pattern.test(id)) add('id', detail);
  if (url !== null && url !== undefined) add('url', `must be left out for the kind ${kind}`);
  if (file !== null && file !== undefined) add('file', `must be left out for the kind ${kind}`);
  return faults;
}

const sourceFile = z
  .object({
    format: z.enum(PROVIDERS).nullable(),
    dateColumn: z.string().nullable(),
    valueColumn: z.string().nullable(),
    dateFormat: z.string().nullable(),
    decimal: z.enum(DECIMAL_MARKS).nullable(),
    delimiter: z.enum(DELIMITERS).nullable(),
    missing: z.array(z.string()),
  })
  .meta({
    id: 'SourceFile',
    description: 'The format of the file. Null members are detected.',
  });

const success = z
  .object({
    at: timestamp,
    added: z.int().min(0).meta({ description: 'Days without an earlier value.' }),
    revised: z.int().min(0).meta({ description: 'Days that got a new vintage.' }),
    unchanged: z.int().min(0).meta({
      description: 'Days without a new value. 0 if the server said that the file is the same.',
    }),
  })
  .meta({ id: 'PullSuccess', description: 'The last pull that succeeded.' });

const failure = z
  .object({
    at: timestamp,
    detail: z.string().meta({ description: 'What went wrong. Nothing was stored.' }),
    failures: z
      .int()
      .min(0)
      .meta({ description: 'Failures since the last success; 0 if a pull has succeeded since.' }),
  })
  .meta({ id: 'PullFailure', description: 'The last pull that failed.' });

export const seriesSource = z
  .object({
    series: slug,
    kind,
    id: z.string().nullable(),
    url: z.string().nullable(),
    file: sourceFile.nullable(),
    everyMinutes,
    setAt: timestamp.meta({
      description: 'When the source was last set to another `kind`, `id`, `url` or `file`.',
    }),
    state: z.enum(['pulling', 'waiting', 'failing']).meta({
      description:
        '`pulling`: a pull is under way. `waiting`: the next one is due at `nextPullAt`. `failing`: the same, and the last one failed.',
    }),
    nextPullAt: timestamp.meta({
      description: 'While a pull is under way, the time at which it counts as lost.',
    }),
    lastSuccess: success.nullable(),
    lastFailure: failure.nullable(),
  })
  .meta({
    id: 'SeriesSource',
    description: 'Where a series is pulled from, and how its pulls went.',
  });
