import { createHash } from 'node:crypto';

export const CHART_THEMES = ['auto', 'light', 'dark'] as const;
/** The colour scheme of a chart; with `auto` it follows the reader's preference (prefers-color-scheme). */
export type ChartTheme = (typeof CHART_THEMES)[number];

type Colours = Record<
  'ground' | 'text' | 'faint' | 'line' | 'bear' | 'base' | 'bull' | 'water',
  string
>;

// Vermilion, grey and blue, distinct for all kinds of colour vision (Okabe and Ito 2008), each with a
// contrast of at least 3 : 1 to its ground (WCAG 2.2, 1.4.11) and texts with 4.5 : 1 (1.4.3).
const LIGHT: Colours = {
  ground: '#ffffff',
  text: '#1b2027',
  faint: '#5b6470',
  line: '#c9ced6',
  bear: '#c64a00',
  base: '#7c8594',
  bull: '#0068a8',
  water: '#4a7fb0',
};
const DARK: Colours = {
  ground: '#13171f',
  text: '#eceff4',
  faint: '#a3adbb',
  line: '#3a424f',
  bear: '#f2803f',
  base: '#98a2b3',
  bull: '#56b4e9',
  water: '#6fa3d0',
};

function rulesOf(colours: Colours): string {
  const { ground, text, faint, line, bear, base, bull, water } = colours;
  const fills = { bear, base, bull, water, ground, text, faint };
  return [
    `text{fill:${text}}`,
    `.faint{fill:${faint}}`,
    ...Object.entries(fills).map(([name, colour]) => `.fill-${name}{fill:${colour}}`),
    `.grid{stroke:${line};fill:none}`,
    `.rule{stroke:${faint};fill:none}`,
    `.edge{stroke:${ground}}`,
    `.stroke-text{stroke:${text};fill:none}`,
    `.stroke-water{stroke:${water};fill:none}`,
  ].join('');
}

const STYLES: Record<ChartTheme, string> = {
  light: rulesOf(LIGHT),
  dark: rulesOf(DARK),
  auto: `${rulesOf(LIGHT)}@media (prefers-color-scheme:dark){${rulesOf(DARK)}}`,
};

/** The style sheet of a chart. */
export const chartStyle = (theme: ChartTheme): string => STYLES[theme];

/** The Content-Security-Policy of a chart opened as a document: it allows only its own style sheet. */
export const chartPolicy = (theme: ChartTheme): string => POLICIES[theme];

const policyOf = (theme: ChartTheme): string => {
  const digest = createHash('sha256').update(STYLES[theme]).digest('base64');
  return `default-src 'none'; style-src 'sha256-${digest}'; frame-ancestors 'none'`;
};
const POLICIES: Record<ChartTheme, string> = {
  light: policyOf('light'),
  dark: policyOf('dark'),
  auto: policyOf('auto'),
};
