import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import MarkdownIt from 'markdown-it';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOT_OURS = new Set(['.git', '.data', 'node_modules', 'dist', 'coverage']);

const parser = new MarkdownIt();

/** The Markdown documents of the project, by their paths from its root. */
export const DOCUMENTS: readonly string[] = markdownIn('');

function markdownIn(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : markdownIn(name);
    return name.endsWith('.md') ? [name] : [];
  });
}

/** Where a path from the root of the project is on this machine. */
export const absolute = (name: string): string => path.join(ROOT, name);

export const textOf = (name: string): string => readFileSync(absolute(name), 'utf8');

/** The targets of a document's links and images, as they are written. */
export function linksOf(text: string): string[] {
  return tokensOf(text).flatMap((token) => {
    const target = token.attrGet('href') ?? token.attrGet('src');
    return target === null ? [] : [String(target)];
  });
}

/** The anchors of a document's headings, as GitHub makes them. */
export function anchorsOf(text: string): string[] {
  const tokens = parser.parse(text, {});
  const seen = new Map<string, number>();
  return tokens.flatMap((token, index) => {
    if (token.type !== 'heading_open') return [];
    const words = (tokens[index + 1]?.children ?? []).map(({ content }) => content).join('');
    const slug = words
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '')
      .replaceAll(' ', '-');
    const repeats = seen.get(slug) ?? 0;
    seen.set(slug, repeats + 1);
    return [repeats === 0 ? slug : `${slug}-${repeats}`];
  });
}

/** The code blocks of a document: the language that each names, and its text. */
export function codeBlocksOf(text: string): { language: string; text: string }[] {
  return parser
    .parse(text, {})
    .filter(({ type }) => type === 'fence')
    .map(({ info, content }) => ({ language: info.trim(), text: content }));
}

function tokensOf(text: string) {
  return parser.parse(text, {}).flatMap((token) => [token, ...(token.children ?? [])]);
}

/** The pieces of code in a document's text. */
export function inlineCodeOf(text: string): string[] {
  return tokensOf(text)
    .filter(({ type }) => type === 'code_inline')
    .map(({ content }) => content);
}
