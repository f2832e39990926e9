import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  checkpointText,
  COSIGNATURE,
  cosignatureLine,
  isKeyName,
  type Note,
  type NoteSignature,
  type NoteSigner,
  parseCheckpointText,
  parseNote,
  parseSignatureLine,
  parseVkey,
  publicKeyBytes,
  signatureLine,
  type TreeHead,
  verifyCosignature,
  verifySignature,
  type Vkey,
  vkeyOf,
} from '../../src/domain/signed-note.ts';

// The examples of c2sp.org/signed-note and c2sp.org/tlog-cosignature.
const VKEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const NOTE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;
const CHECKPOINT = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`;

const vkey = parseVkey(VKEY) as Vkey;
const note = parseNote(NOTE) as Note;

test('the example of the specification verifies', () => {
  expect(vkey).toMatchObject({ name: 'example.com/foo', keyId: '530d903a', type: 1 });
  expect(note.text).toBe('This is an example message.\n');
  const signature = note.signatures[0] as NoteSignature;
  expect(signature).toMatchObject({ name: 'example.com/foo', keyId: '530d903a' });
  expect(verifySignature(note.text, signature, vkey)).toBe(true);
  expect(verifySignature(`${note.text} `, signature, vkey)).toBe(false);
  expect(vkeyOf(vkey.name, vkey.publicKey)).toBe(VKEY);
});

test('the example of a cosigned checkpoint is parsed', () => {
  const { text, signatures } = parseNote(CHECKPOINT) as Note;
  const head = parseCheckpointText(text) as TreeHead;
  expect(head).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163 });
  expect(checkpointText(head)).toBe(text);
  expect(signatures.map(({ name, keyId }) => [name, keyId])).toEqual([
    ['example.com/behind-the-sofa', '033de0ae'],
    ['witness.example.com/w1', '8d66cf3f'],
  ]);
  expect(signatures[1]?.signature.readBigUInt64BE()).toBe(1_679_315_147n);
});

const signer = (name: string): NoteSigner => ({
  name,
  privateKey: generateKeyPairSync('ed25519').privateKey,
});
const vkeyFor = ({ name, privateKey }: NoteSigner, type?: 1 | 4) =>
  parseVkey(vkeyOf(name, publicKeyBytes(privateKey), type)) as Vkey;

describe('a note that this code signs', () => {
  const text = checkpointText({ origin: 'a.example/log/1', size: 3, root: Buffer.alloc(32, 9) });
  const log = signer('a.example/log/1');
  const witness = signer('w.example');
  const line = signatureLine(text, log);
  const cosignature = cosignatureLine(text, 1_800_000_000, witness);

  test('verifies by its own key only', () => {
    const { signatures } = parseNote(`${text}\n${line}\n${cosignature}\n`) as Note;
    expect(signatures.map((one) => one.line)).toEqual([line, cosignature]);
    const [own, witnessed] = signatures as [NoteSignature, NoteSignature];
    expect(verifySignature(text, own, vkeyFor(log))).toBe(true);
    expect(verifySignature(text, own, vkeyFor(signer(log.name)))).toBe(false);
    expect(verifySignature(text, witnessed, vkeyFor(witness))).toBe(false);
    expect(verifySignature(text, own, vkeyFor(log, COSIGNATURE))).toBe(false);
  });

  test('has the time in a cosignature', () => {
    const parsed = parseSignatureLine(cosignature) as NoteSignature;
    const key = vkeyFor(witness, COSIGNATURE);
    expect(parsed.keyId).toBe(key.keyId);
    expect(verifyCosignature(text, parsed, key)).toBe(1_800_000_000);
    expect(verifyCosignature(`${text}more\n`, parsed, key)).toBeNull();
    expect(verifyCosignature(text, parsed, vkeyFor(witness))).toBeNull();
    expect(verifyCosignature(text, parsed, vkeyFor(log, COSIGNATURE))).toBeNull();
    const later = Buffer.from(parsed.signature);
    later.writeBigUInt64BE(1_800_000_001n);
    expect(verifyCosignature(text, { ...parsed, signature: later }, key)).toBeNull();
    later.fill(255, 0, 8);
    expect(verifyCosignature(text, { ...parsed, signature: later }, key)).toBeNull();
    const short = parsed.signature.subarray(0, 71);
    expect(verifyCosignature(text, { ...parsed, signature: short }, key)).toBeNull();
  });
});

test.each([
  ['no signature', 'text\n'],
  ['no blank line', NOTE.replace('\n\n', '\n')],
  ['no last newline', NOTE.slice(0, -1)],
  ['no signatures after the blank line', 'text\n\n'],
  ['a control character', NOTE.replace('example message', 'example\tmessage')],
  ['a carriage return', NOTE.replaceAll('\n', '\r\n')],
  ['a lone surrogate', NOTE.replace('example message', '\ud800')],
  ['a hyphen', NOTE.replace('—', '-')],
  ['no name', NOTE.replace('— example.com/foo', '— ')],
  ['a name with a plus', NOTE.replace('— example.com/foo', '— a+b')],
  ['a space too many', NOTE.replace('foo Uw', 'foo  Uw')],
  ['base64 without padding', NOTE.replace('aQM=', 'aQM')],
  ['base64 in another spelling', NOTE.replace('aQM=', 'aQN=')],
  ['a key id alone', 'text\n\n— a AAAAAA==\n'],
  ['101 signatures', `text\n\n${'— a AAAAAAA=\n'.repeat(101)}`],
  ['more than a million characters', `${'x'.repeat(1_000_000)}${NOTE}`],
])('a note with %s is malformed', (_, text) => {
  expect(parseNote(text)).toBeNull();
});

test('the last blank line ends the text', () => {
  expect(parseNote('one\n\ntwo\n\n— a AAAAAAA=\n')?.text).toBe('one\n\ntwo\n');
  expect(parseNote(`text\n\n${'— a AAAAAAA=\n'.repeat(100)}`)?.signatures).toHaveLength(100);
});

const ROOT = Buffer.alloc(32).toString('base64');

test.each([
  ['', 'nothing'],
  [`a\n1\n${ROOT}`, 'no last newline'],
  [`a\n1\n`, 'no root'],
  [`\n1\n${ROOT}\n`, 'no origin'],
  [`a\n01\n${ROOT}\n`, 'a leading zero'],
  [`a\n-1\n${ROOT}\n`, 'a negative size'],
  [`a\n1e3\n${ROOT}\n`, 'an exponent'],
  [`a\n9007199254740992\n${ROOT}\n`, 'a size beyond safe integers'],
  [`a\n1\n${ROOT.slice(0, -1)}\n`, 'no padding'],
  [`a\n1\n${Buffer.alloc(31).toString('base64')}\n`, 'a short root'],
  [`a\n1\n${ROOT}\n\n`, 'an empty line'],
])('%j is no checkpoint: %s', (text) => {
  expect(parseCheckpointText(text)).toBeNull();
});

test('extension lines of others are ignored', () => {
  expect(parseCheckpointText(`a\n0\n${ROOT}\nmore\n`)).toMatchObject({ origin: 'a', size: 0 });
});

test.each([
  ['nothing', ''],
  ['a changed name', VKEY.replace('foo', 'bar')],
  ['another id', VKEY.replace('530d903a', '530d903b')],
  ['an id in capitals', VKEY.replace('530d903a', '530D903A')],
  ['a short key', VKEY.slice(0, -4)],
  ['another type', vkeyOf('a', Buffer.alloc(32), 2 as never)],
  ['a space in its name', vkeyOf('a b', Buffer.alloc(32))],
  ['no name', vkeyOf('', Buffer.alloc(32))],
])('a verifier key with %s is none', (_, text) => {
  expect(parseVkey(text)).toBeNull();
});

test('a verifier key may have a plus in its base64', () => {
  const text = vkeyOf('a', Buffer.alloc(32, 0xfb));
  expect(text.split('+').length).toBeGreaterThan(3);
  expect(parseVkey(text)?.publicKey).toEqual(Buffer.alloc(32, 0xfb));
});

test.each(['', 'a b', 'a+b', 'a\u00a0b', 'a\u2003b', 'a\u0085b', 'a\nb', 'a\0b', '\ud800'])(
  '%j is no name of a key',
  (name) => {
    expect(isKeyName(name)).toBe(false);
  },
);
