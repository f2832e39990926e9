export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

const MAX_DEPTH = 32;

/**
 * Parses JSON that all readers understand alike: no object has a name twice, of which some readers take the first and others
 * the last. At most 32 levels.
 * @throws SyntaxError
 */
export function parseStrictJson(text: string): Json {
  const value = JSON.parse(text) as Json;
  const names: Set<string>[] = [];
  let last = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"') {
      const end = endOfString(text, at);
      last = text.slice(at, end + 1);
      at = end;
    } else if (character === ':') addName(names.at(-1), JSON.parse(last) as string);
    else if (character === '{' || character === '[') names.push(new Set());
    else if (character === '}' || character === ']') names.pop();
    if (names.length > MAX_DEPTH) throw new SyntaxError(`it has more than ${MAX_DEPTH} levels`);
  }
  return value;
}

/** The place of the quote that ends the string of a valid JSON text. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}

function addName(names: Set<string> | undefined, name: string): void {
  if (names?.has(name)) throw new SyntaxError(`it has ${JSON.stringify(name.slice(0, 100))} twice`);
  names?.add(name);
}

/** @throws SyntaxError if the text is not that of a JSON object */
export function parseStrictObject(text: string): JsonObject {
  const value = parseStrictJson(text);
  if (isObject(value)) return value;
  throw new SyntaxError('it is not an object');
}

/** Whether a value is a JSON object: neither a list nor null. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
