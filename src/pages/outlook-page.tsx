import type { VNode } from 'preact';
import type { ClimatologyDocument } from '../api/climatology.ts';
import { outcomePhrase, sharesOf } from '../charts/text.ts';
import { Endnotes, Headwinds, Metrics, Positioning, Risks, Summary } from './framework.tsx';
import type { Head } from './layout.tsx';
import {
  Comparison,
  type Diff,
  History,
  type Scores,
  ScoreTable,
  TimeTravel,
  type VersionEntry,
} from './past.tsx';
import { Live } from './parts.tsx';
import { Revise } from './revise.tsx';
import { Heading, LastChange, type Outlook, CurrentVersion } from './current.tsx';
import {
  type Condition,
  Conditions,
  type Drawdown,
  Drawdowns,
  type Evidence,
  EvidenceList,
} from './watch.tsx';

/** Everything that the page of an outlook shows. */
export type OutlookPageData = {
  outlook: Outlook;
  latestVersion: number;
  /** The ETag of the current version; null on the page of a past one, which can't be revised. */
  etag: string | null;
  /** The time that the page shows; null for now. */
  asOf: string | null;
  /** Whether the horizon is over now, so that the outlook takes no revision. */
  isOver: boolean;
  /** A short digest of the charts' content, so that their URLs change with it; null if it never changes. */
  pictures: string | null;
  /** The day in the date picker. */
  day: string | null;
  versions: readonly VersionEntry[];
  olderThan: number | null;
  conditions: readonly Condition[];
  drawdown: Drawdown | null;
  /** What history alone says; null without return bands. */
  history: ClimatologyDocument | null;
  /** Null on the page of a past version. */
  evidence: { items: readonly Evidence[]; hasMore: boolean } | null;
  scores: Scores | null;
  diff: Diff | null;
};

/** The metadata of the page of an outlook. */
export function headOf({ outlook, etag }: OutlookPageData): Head {
  const { slug, title, summary, version, resolution } = outlook;
  const forecast = sharesOf(outlook.probabilities);
  const shares = resolution ? `${outcomePhrase(resolution)}. Forecast: ${forecast}` : forecast;
  const at = `/v1/outlooks/${slug}`;
  const alternates = [
    { type: 'application/json', title: 'As data', path: at },
    { type: 'text/markdown', title: 'As Markdown', path: `${at}?format=md` },
    { type: 'application/atom+xml', title: `Versions of ${title}`, path: `${at}/feed.atom` },
    { type: 'application/feed+json', title: `Versions of ${title}`, path: `${at}/feed.json` },
  ];
  const drawn = new URLSearchParams({
    kind: 'scenarios',
    ...pictured(outlook),
    format: 'png',
    theme: 'light',
    width: '600',
    height: '315',
    scale: '2',
  });
  const image = `${at}/chart.svg?${drawn}`;
  return {
    title,
    description: `${shares}. ${summary}`,
    path: `/outlooks/${slug}${etag === null ? `?version=${version}` : ''}`,
    image: { path: image, alt: `${title}: ${shares}.` },
    alternates,
  };
}

/** What a chart shows: the version, whose chart never changes, or the outlook at its resolution, which no version knows. */
function pictured({ version, resolution }: Outlook): Record<string, string> {
  return resolution ? { asOf: resolution.resolvedAt } : { version: String(version) };
}

/** The page of an outlook. */
export function OutlookPage({ data }: { data: OutlookPageData }): VNode {
  const { outlook, latestVersion, etag, asOf, day, conditions, evidence, scores, diff } = data;
  const { slug } = outlook;
  return (
    <>
      <Live
        events={etag === null ? null : `/v1/outlooks/${slug}/events`}
        news={`Version ${outlook.version} is current: ${sharesOf(outlook.probabilities)}.`}
      >
        <Heading outlook={outlook} />
        <TimeTravel
          outlook={outlook}
          latestVersion={latestVersion}
          against={diff ? diff.from.version : null}
          day={day}
        />
        <nav class="parts" aria-label="Parts of this page">
          <a href="#probabilities">Probabilities</a>
          <a href="#change">Change</a>
          <a href="#history">History</a>
          {conditions.length > 0 && <a href="#conditions">Conditions</a>}
          {evidence && <a href="#evidence">Evidence</a>}
          {scores && <a href="#scores">Scores</a>}
        </nav>
        {diff && <Comparison diff={diff} />}
        <CurrentVersion outlook={outlook} history={data.history} pictured={pictured(outlook)} />
        <LastChange outlook={outlook} />
        {scores && <ScoreTable scores={scores} slug={slug} pictures={data.pictures} />}
        <Summary summary={outlook.summary} />
        <Metrics metrics={outlook.metrics} />
        <History
          outlook={outlook}
          latestVersion={latestVersion}
          pictured={data.pictures === null ? pictured(outlook) : { v: data.pictures }}
          versions={data.versions}
          olderThan={data.olderThan}
        />
        <Conditions conditions={conditions} isPast={etag === null} />
        <Drawdowns
          outlook={outlook}
          drawdown={data.drawdown}
          asOf={asOf}
          pictures={data.pictures}
        />
        <Headwinds headwinds={outlook.headwinds} />
        <Risks risks={outlook.risks} />
        <Positioning positioning={outlook.positioning} />
        {evidence && (
          <EvidenceList outlook={outlook} evidence={evidence.items} hasMore={evidence.hasMore} />
        )}
        <Endnotes outlook={outlook} />
        <FormatLinks slug={slug} version={outlook.version} />
      </Live>
      {etag !== null && outlook.status === 'open' && !data.isOver && (
        <Revise
          outlook={outlook}
          etag={etag}
          conditions={conditions}
          evidence={evidence?.items ?? []}
        />
      )}
    </>
  );
}

/** Links to the other formats. */
function FormatLinks({ slug, version }: { slug: string; version: number }): VNode {
  const at = `/v1/outlooks/${slug}`;
  return (
    <nav class="parts" aria-label="Other formats">
      <a href={`${at}/versions/${version}`}>JSON</a>
      <a href={`${at}?format=md`}>Markdown</a>
      <a href={`${at}/probabilities?format=csv`}>History as CSV</a>
      <a href={`${at}/feed.atom`}>Atom feed</a>
      <a href={`${at}/feed.json`}>JSON feed</a>
      <a href={`${at}/chart.svg?kind=scenarios&version=${version}`}>Chart</a>
    </nav>
  );
}
