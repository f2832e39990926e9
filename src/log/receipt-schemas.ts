import { z } from 'zod';

const base64 = z
  .string()
  .regex(/^[A-Za-z0-9+/]{43}=$/)
  .meta({ description: '32 bytes in base64 (RFC 4648, section 4).' });

const receiptRow = z
  .object({
    index: z.int().min(0).meta({
      description: 'The place of the row among all rows that the transaction wrote, from 0.',
    }),
    salt: base64.meta({ description: 'The salt of this row, 32 bytes in base64.' }),
    text: z.string().meta({
      description:
        'The row as canonical JSON (RFC 8785): `{"row": {…}, "table": "…"}`. Values are texts as PostgreSQL writes them, in UTC; columns without a value are left out.',
    }),
    proof: z.array(base64).meta({
      description:
        'The inclusion proof of the row (RFC 9162, section 2.1.3) in the tree with the root and the count that `event` gives in `rows`. The leaf hash is the SHA-256 of a zero byte, the salt and the text in UTF-8.',
    }),
  })
  .meta({ id: 'ReceiptRow', description: 'A row that the act wrote.' });

const entryShape = {
  event: z.string().meta({
    description:
      'What the entry commits to, as canonical JSON (RFC 8785): what was done (`kind`, `subject`), by whom (`by`), when (`at`), and the root over the rows that were written (`rows`). Hash this text as it is.',
  }),
  salt: base64.meta({
    description:
      'The key of the commitment, 32 bytes in base64. The commitment is the HMAC-SHA-256 of `event` in UTF-8 under this key, and the entry of the log is `{"v":1,"commitment":"<base64>"}`.',
  }),
  rows: z.array(receiptRow),
  proof: z.string().meta({
    description:
      'The proof that the log has the entry (c2sp.org/tlog-proof@v1): its index, its inclusion proof, and a checkpoint with the signature of the log and those of its witnesses.',
  }),
};

const laterEntry = z.object(entryShape).meta({
  id: 'ReceiptEntry',
  description:
    'An entry of the log that vouches for rows of the record, although another act wrote them. It is verified as the receipt itself is.',
});

const document = z
  .object({
    of: z.enum(['version', 'framework']),
    json: z.string().meta({
      description:
        'Canonical JSON (RFC 8785). Its SHA-256 is the `hash` of the version, or the `frameworkHash` that the version has.',
    }),
  })
  .meta({ id: 'ReceiptDocument', description: 'The words behind a hash of the version.' });

export const receipt = z
  .object({
    v: z.int().min(1).max(1).meta({ description: 'The version of the format, 1.' }),
    subject: z.string().meta({
      description: 'The path of the record, as the event names it.',
      examples: ['/v1/outlooks/russell-2000-downside/versions/2'],
    }),
    origin: z.string().meta({
      description: 'The name of the log, as the first line of its checkpoints has it.',
    }),
    generation: z.int().min(1).meta({
      description: 'The generation of the log, under /log/{generation}/.',
    }),
    ...entryShape,
    laterEntries: z.array(laterEntry).meta({
      description:
        'Empty, unless the record is older than the log. Its rows were then digested later than they were written, and these entries say when.',
    }),
    documents: z.array(document).meta({
      description: 'Of a version, the texts that its hashes are of; otherwise empty.',
    }),
    vkey: z.string().meta({
      description:
        "The log's verifier key (c2sp.org/signed-note), as this service names it. Verify with a key that you noted earlier or got from elsewhere.",
    }),
    witnesses: z.array(z.string()).meta({
      description: 'The verifier keys of the witnesses that the service asks for cosignatures.',
    }),
    missingWitnesses: z.array(z.string()).meta({
      description: 'The names of those that have not cosigned the checkpoint.',
    }),
  })
  .meta({
    id: 'Receipt',
    description:
      'Proves a record offline, without the service: what was written, by whom and when, and that a signed checkpoint of the transparency log covers it.',
  });
