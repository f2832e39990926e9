import type { VersionReader } from '../ledger/versions.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { calibrationChart } from '../charts/calibration.tsx';
import { chartPolicy } from '../charts/colours.ts';
import { drawdownChart } from '../charts/drawdown.tsx';
import type { ChartLook } from '../charts/frame.tsx';
import { historyChart } from '../charts/history.tsx';
import { asPng, PngQueueFull } from '../charts/png.ts';
import { scenariosChart } from '../charts/scenarios.tsx';
import { type HistoryEvent, readHistory, readHistoryEvents } from '../ledger/history.ts';
import { readTrackRecord } from '../ledger/track-records.ts';
import type { Audience } from '../domain/desks.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { endOfDay } from '../domain/horizon.ts';
import { startOf } from '../domain/time-weighting.ts';
import { deltasOf, fractionsOf } from '../domain/probabilities.ts';
import { UNIFORM } from '../domain/scoring.ts';
import { measureDrawdown } from './drawdown.ts';
import { ANY_SERIES, CLOSES_MAX_AGE, WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import { requirePast } from '../http/require-past.ts';
import { PNG_TYPE, SVG_TYPE, wantedType } from '../http/negotiation.ts';
import { Problem } from '../http/problems.ts';
import type { ResponseDraft } from '../http/response-cache/encoded-body.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { type ChartKind, chartQuery } from './schemas/charts.ts';
import { addressOf } from '../http/clients.ts';
import { slug } from '../http/fields.ts';

export type ChartDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  versions: VersionReader;
  now: () => Date;
};

const HEIGHTS: Record<ChartKind, number> = {
  scenarios: 300,
  history: 400,
  drawdown: 400,
  calibration: 520,
};

export function chartRoutes(api: Api, ledger: ChartDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/chart.svg',
    config: { access: 'read', serves: [SVG_TYPE, PNG_TYPE] },
    schema: {
      operationId: 'getChart',
      tags: ['Charts'],
      summary: 'Draw a chart of an outlook',
      description:
        'For an `<img>` in an article or page. Charts follow light or dark mode, carry a text description, and are also available as PNG (`Accept: image/png` or `format=png`), up to two million pixels. The same data always give the same bytes. The PNG font has no Chinese, Japanese or Korean characters and no emoji.',
      params: z.strictObject({ slug }),
      querystring: chartQuery,
      response: {
        200: {
          content: {
            [SVG_TYPE]: { schema: z.string().meta({ description: 'An SVG 2 document.' }) },
            [PNG_TYPE]: {
              schema: z
                .string()
                .meta({ format: 'binary', description: 'A PNG image without transparency.' }),
            },
          },
        },
        ...problemResponses(404, 409, 422),
      },
    },
    handler: (request, reply) => {
      const { audience } = request;
      const { slug: name } = request.params;
      const { asOf, format, kind } = request.query;
      requirePast('asOf', asOf, ledger.now());
      const type = wantedType(request, format);
      const isPng = type === PNG_TYPE;
      const draw = () => drawSvg(ledger, name, request.query, { isPng, audience });
      return ledger.cache.answer(request, reply, { tags: tagsOf(kind, name) }, async () => {
        const draft = await (isPng ? drawPng(request.query, addressOf(request), draw) : draw());
        return { ...draft, type, hasAlternatives: format === undefined };
      });
    },
  });
}

/** The most pixels of a PNG; a larger one takes a second and longer. */
const MOST_PIXELS = 2_000_000;

/**
 * @throws Problem `invalid-request` for too many pixels, `overloaded` while too many PNGs wait to be drawn,
 *   `rate-limited` while too many PNGs of the address wait
 */
async function drawPng(
  { kind, width, height, scale }: ChartQuery,
  address: string,
  renderSvg: () => Promise<SvgDraft>,
): Promise<ResponseDraft> {
  const pixels = width * (height ?? HEIGHTS[kind]) * scale ** 2;
  if (pixels > MOST_PIXELS) {
    const detail = `A PNG may have at most ${MOST_PIXELS} pixels; this one would have ${pixels}.`;
    throw new Problem('invalid-request', detail, {
      errors: [{ pointer: '/scale', detail: 'is too large for this size', in: 'query' }],
    });
  }
  try {
    return await asPng(address, renderSvg);
  } catch (error) {
    if (!(error instanceof PngQueueFull)) throw error;
    const headers = { 'retry-after': '2' };
    if (error.ofAddress === null) {
      throw new Problem('overloaded', 'The service cannot draw more charts right now.', {
        headers,
      });
    }
    const detail = `${error.ofAddress} PNGs for your address are being drawn; wait for them before you ask for more.`;
    throw new Problem('rate-limited', detail, { headers });
  }
}

const tagsOf = (kind: ChartKind, name: string): readonly string[] => {
  if (kind === 'calibration') return WHOLE_LEDGER; // it covers all outlooks of an author
  return kind === 'drawdown' ? [name, ANY_SERIES] : [name];
};

type ChartQuery = z.output<typeof chartQuery>;
/** A chart as an SVG document. */
type SvgDraft = ResponseDraft & { body: string };

async function drawSvg(
  ledger: ChartDeps,
  name: string,
  query: ChartQuery,
  { isPng, audience }: { isPng: boolean; audience: Audience },
): Promise<SvgDraft> {
  const { kind, version, asOf, width, height = HEIGHTS[kind], scale } = query;
  const theme = isPng && query.theme === 'auto' ? 'light' : query.theme;
  const look = { width, height, scale, theme };
  const which = version === undefined ? (asOf ? { asOf } : 'newest') : { version };
  const now = ledger.now();
  const outlook = await ledger.versions.read(name, which);
  const until = endOfAxis(outlook, query, now);
  const body = await DRAW[kind](ledger, outlook, { ...query, until, audience }, look);
  const isFinal = version !== undefined;
  const reachesNow = which === 'newest' && outlook.status === 'open';
  return {
    body,
    freshness: isFinal ? 'immutable' : 'revalidate',
    isFinal,
    headers: {
      'content-security-policy': chartPolicy(theme),
      // Pages with a strict embedder policy may show the chart, but not with a key, which browsers may send by themselves.
      'cross-origin-resource-policy': audience.hasKey ? 'same-origin' : 'cross-origin',
    },
    ...(kind === 'history' &&
      reachesNow && { maxAge: endOfDay(now).getTime() - ledger.now().getTime() }),
    ...(kind === 'drawdown' && { maxAge: CLOSES_MAX_AGE }),
  };
}

/**
 * The end of the time axis: the resolution or the withdrawal of an outlook, else the time of the chart, which for the
 * current one is the end of the day in UTC, so that all charts of a day are the same. Null for a numbered version, whose
 * chart never changes.
 */
function endOfAxis(
  { status, resolution, publishedAt }: OutlookVersion,
  { version, asOf }: ChartQuery,
  now: Date,
): Date | null {
  if (version !== undefined) return null;
  if (resolution) return resolution.resolvedAt;
  return status === 'withdrawn' ? publishedAt : (asOf ?? endOfDay(now));
}

type Draw = (
  ledger: ChartDeps,
  outlook: OutlookVersion,
  query: ChartQuery & { until: Date | null; audience: Audience },
  look: ChartLook,
) => Promise<string>;

const DRAW: Record<ChartKind, Draw> = {
  scenarios: async (_ledger, outlook, _query, look) => {
    const { title, scenarios } = outlook.framework.read();
    const { probabilities, previousProbabilities: before, resolution } = outlook;
    const { bear, base, bull } = scenarios;
    return scenariosChart(
      {
        title,
        symbol: outlook.instrument.symbol,
        version: outlook.version,
        publishedAt: outlook.publishedAt,
        probabilities: fractionsOf(probabilities),
        deltas: before && deltasOf(before, probabilities),
        scenarioTitles: { bear: bear.title, base: base.title, bull: bull.title },
        resolution,
      },
      look,
    );
  },
  history: async ({ pool }, outlook, { version, asOf, until }, look) => {
    const { slug: name, instrument, framework, horizon, resolution } = outlook;
    const { points } = await readHistory(pool, name, { from: undefined, to: undefined });
    const events = await readHistoryEvents(pool, name, {
      version: outlook.version,
      until: version === undefined ? (asOf ?? 'now') : null,
    });
    const steps = points
      .filter((point) => point.version <= outlook.version)
      .map((point) => ({ ...point, probabilities: fractionsOf(point.probabilities) }));
    const { title } = framework.read();
    const marks = events.map(markOf);
    // No forecast applies after the horizon.
    const lastUntil = until && new Date(startOf(horizon.to));
    return historyChart(
      { title, symbol: instrument.symbol, steps, marks, until, lastUntil, resolution },
      look,
    );
  },
  drawdown: async ({ pool }, outlook, { asOf, until }, look) => {
    const { since, closes, found, label } = await measureDrawdown(pool, outlook, { asOf });
    const { drawdownLabels: labels } = outlook.framework.read();
    const { symbol } = outlook.instrument;
    return drawdownChart({ symbol, since, closes, found, label, labels, until }, look);
  },
  calibration: async ({ pool }, { author }, { asOf, audience }, look) => {
    const scope = {
      analystId: author.id,
      source: 'version' as const,
      instrument: null,
      from: null,
      to: null,
      minCoverage: null,
      asOf: asOf ?? null,
      audience,
    };
    const { n, calibration } = await readTrackRecord(pool, scope, UNIFORM);
    return calibrationChart({ name: author.name, n, buckets: calibration.overall }, look);
  },
};

function markOf({ at, kind, subject }: HistoryEvent) {
  const texts = {
    evidence: `evidence: ${subject}`,
    triggered: `${subject} triggered`,
    resolved: subject === 'reopened' ? 'reopened' : `resolved: ${subject}`,
  };
  return { at, kind, text: texts[kind] };
}
