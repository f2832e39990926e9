import { slug } from '../http/fields.ts';
import type { Api } from '../http/routing.ts';
import { outlookNotFound } from '../ledger/find-outlook.ts';
import type { KnownVisibilities, Subject } from '../ledger/known-visibilities.ts';
import { seriesNotFound } from '../ledger/series.ts';

/**
 * Answers every request about an outlook or a series that its caller may not see as if it did not exist. It does so before
 * the request is validated: a fault in a body must not tell that there is something to change.
 */
export function hideInvisible(
  api: Api,
  { visibilities }: { visibilities: KnownVisibilities },
): void {
  api.addHook('preValidation', async (request) => {
    const { url, config } = request.routeOptions;
    if (config.access === 'public') return; // it shows nothing of the ledger
    const subject = subjectOf(url, request.params);
    if (!subject || (await visibilities.isVisible(subject, request.audience))) return;
    const { table, name } = subject;
    throw table === 'outlooks' ? outlookNotFound(name) : seriesNotFound(name);
  });
}

const OF_OUTLOOK = /^(?:\/v1)?\/outlooks\/:slug(?:\/|$)/;
const OF_SERIES = /^\/v1\/series\/:key(?:\/|$)/;

/** The outlook or the series that a path names; null if it names none, or none that can exist. */
function subjectOf(route: string | undefined, params: unknown): Subject | null {
  const { slug: ofOutlook, key } = params as { slug?: string; key?: string };
  const table = OF_OUTLOOK.test(route ?? '') ? 'outlooks' : OF_SERIES.test(route ?? '') && 'series';
  if (!table) return null;
  const name = table === 'outlooks' ? ofOutlook : key;
  return slug.safeParse(name).success ? { table, name: name ?? '' } : null;
}
