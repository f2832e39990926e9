import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { cacheControlOf, digestOf, type Freshness } from '../conditional-requests.ts';
import {
  CODINGS,
  type Coding,
  CONTENT_TYPES,
  JSON_TYPE,
  type MediaType,
  PNG_TYPE,
} from '../negotiation.ts';

/** What a read answers, before it is turned into bytes. */
export type Rendering = {
  body: string | Buffer;
  /** What its ETag is made of; of the bytes unless it is given. */
  digest?: string;
  freshness: Freshness;
  /** JSON unless it says so. */
  type?: MediaType;
  /** Whether the URL is served as other media types, too. */
  hasAlternatives?: boolean;
  /** The value of a Link header. */
  link?: string | undefined;
  /** Whether the link may change while the body stays, so that a 304 has to tell it, too. */
  isLinkOfItsOwn?: boolean;
  /** That no change of what it tells of makes it stale. */
  isFinal?: boolean;
  /** What else its header says. */
  headers?: Readonly<Record<string, string>>;
  /** For how long it may be kept, in milliseconds, where no event tells of all that makes it stale. */
  keepFor?: number;
};

/** One representation: its bytes in one coding, its ETag, and the header fields of a 200 and a 304. */
export type Form = { bytes: Buffer; etag: string; fields: string[]; unmodifiedFields: string[] };

/** A reply to a read, ready to send, in the forms that were asked for so far. */
export type RenderedReply = {
  readonly digest: string;
  readonly type: string;
  readonly link: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly fields: readonly string[];
  readonly forms: { identity: Form; br?: Form | Promise<Form>; gzip?: Form | Promise<Form> };
};

/** Below this size, in bytes, a compressed form saves nothing that a client would notice. */
const WORTH_COMPRESSING = 1_024;

/** Turns what was rendered into the bytes and the header fields that are sent. */
export function renderReply(rendering: Rendering, isKeyed: boolean): RenderedReply {
  const { body, freshness, type = JSON_TYPE, hasAlternatives, link, isLinkOfItsOwn } = rendering;
  const vary = [
    ...(hasAlternatives ? ['Accept'] : []),
    'Accept-Encoding',
    isKeyed ? 'Authorization' : 'Origin',
  ];
  const fields = ['cache-control', cacheControlOf(freshness, isKeyed), 'vary', vary.join(', ')];
  if (link !== undefined && isLinkOfItsOwn) fields.push('link', link);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const reply = {
    digest: rendering.digest ?? digestOf(bytes),
    type: CONTENT_TYPES[type],
    headers: rendering.headers ?? {},
    link: isLinkOfItsOwn ? undefined : link,
    fields,
  };
  return { ...reply, forms: { identity: makeForm(reply, 'identity', bytes) } };
}

function makeForm(reply: Omit<RenderedReply, 'forms'>, coding: Coding, bytes: Buffer): Form {
  const isPlain = coding === 'identity';
  // Another tag for each coding: they are different bytes.
  const etag = isPlain ? `"${reply.digest}"` : `"${reply.digest}-${coding}"`;
  const unmodifiedFields = ['etag', etag, ...reply.fields];
  const content = ['content-type', reply.type, 'content-length', String(bytes.length)];
  if (reply.link !== undefined) content.push('link', reply.link);
  content.push(...Object.entries(reply.headers).flat());
  if (!isPlain) content.push('content-encoding', coding);
  return { bytes, etag, unmodifiedFields, fields: [...content, ...unmodifiedFields] };
}

/** The form of a coding where it can be sent at once; undefined where it is yet to be made. */
export function readyForm(reply: RenderedReply, wanted: Coding): Form | undefined {
  const form = reply.forms[codingOf(reply, wanted)];
  return form instanceof Promise ? undefined : form;
}

/**
 * The form of a coding; compressed, off the event loop, where it is asked for the first time.
 * @param onMade called once it was
 */
export async function formOf(
  reply: RenderedReply,
  wanted: Coding,
  onMade: () => void,
): Promise<Form> {
  const coding = codingOf(reply, wanted);
  const { forms } = reply;
  if (coding === 'identity') return forms.identity;
  forms[coding] ??= COMPRESS[coding](forms.identity.bytes).then(
    (bytes) => {
      const form = makeForm(reply, coding, bytes);
      forms[coding] = form;
      onMade();
      return form;
    },
    () => forms.identity, // better than none
  );
  return forms[coding];
}

function codingOf({ forms, type }: RenderedReply, wanted: Coding): Coding {
  const isSmall = forms.identity.bytes.length < WORTH_COMPRESSING;
  return isSmall || type === PNG_TYPE ? 'identity' : wanted; // PNG is compressed already
}

const brotli = promisify<Buffer, object, Buffer>(brotliCompress);
const COMPRESS = {
  gzip: promisify<Buffer, Buffer>(gzip),
  // Higher qualities take up to forty times as long for a few percent.
  br: (bytes: Buffer) => brotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
};

/**
 * What a reply takes of memory, in bytes: its forms, the texts and objects around them, and as much
 * again, as what is dropped stays until it is collected.
 */
export function sizeOf(reply: RenderedReply, key: string): number {
  let size = 500 + 2 * key.length;
  for (const coding of ['identity', ...CODINGS] as const) {
    const form = readyForm(reply, coding);
    if (form && reply.forms[coding] === form) size += form.bytes.length + 700;
  }
  return 2 * size;
}
