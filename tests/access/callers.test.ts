import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance, RouteOptions } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { roleAllows } from '../../src/domain/api-keys.ts';
import { REQUEST_EXAMPLES } from '../../src/http/openapi/examples.ts';
import { type Caller, everyCaller, TokenIssuer } from '../support/callers.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { outlookBody } from '../support/requests.ts';

/**
 * Whom a route lets in: `all`, whatever they ask for; `readers`, who may see what it is about; those of them with any key; or
 * only those with a role. `of the desk`: only those who act for its desk.
 */
type Access =
  | 'all'
  | 'readers'
  | 'keys'
  | 'analysts'
  | 'feeds'
  | 'admins'
  | 'analysts of the desk'
  | 'feeds of the desk'
  | 'keys of the desk';

/** Every route, by hand. A new one gets a line here. */
const ROUTES: Record<string, Access> = {
  'GET /': 'readers',
  'GET /assets/:digest/:name': 'all',
  'GET /desks/:desk': 'readers',
  'GET /docs': 'all',
  'GET /docs/json': 'all',
  'GET /docs/static/*': 'all',
  'GET /docs/static/index.html': 'all',
  'GET /docs/static/swagger-initializer.js': 'all',
  'GET /docs/static/theme/forget-keys.js': 'all',
  'GET /docs/yaml': 'all',
  'GET /healthz': 'all',
  'GET /inbox': 'all',
  'GET /log/:generation/checkpoint': 'all',
  'GET /log/:generation/tile/:level/*': 'all',
  'GET /log/:generation/tile/:level/:tile': 'all',
  'GET /log/:generation/tile/entries/*': 'all',
  'GET /log/:generation/tile/entries/:tile': 'all',
  'GET /metrics': 'all',
  'GET /openapi.json': 'all',
  'GET /outlooks': 'all',
  'GET /outlooks/': 'all',
  'GET /outlooks/:slug': 'readers',
  'GET /outlooks/:slug/': 'all',
  'GET /problems': 'all',
  'GET /problems/:code': 'all',
  'GET /readyz': 'all',
  'GET /v1/analysts': 'readers',
  'GET /v1/analysts/:id': 'readers',
  'GET /v1/analysts/:id/outlooks': 'readers',
  'GET /v1/analysts/:id/track-record': 'readers',
  'GET /v1/analysts/:id/views': 'keys',
  'GET /v1/audit': 'admins',
  'GET /v1/batch/outlooks': 'readers',
  'GET /v1/desks': 'readers',
  'GET /v1/desks/:desk': 'readers',
  'GET /v1/events': 'readers',
  'GET /v1/desks/:desk/policy': 'keys',
  'GET /v1/export': 'readers',
  'GET /v1/feed.atom': 'readers',
  'GET /v1/feed.json': 'readers',
  'GET /v1/inbox': 'keys',
  'GET /v1/inbox/events': 'keys',
  'GET /v1/instruments': 'readers',
  'GET /v1/instruments/:symbol': 'readers',
  'GET /v1/instruments/:symbol/track-record': 'readers',
  'GET /v1/keys': 'admins',
  'GET /v1/keys/:id': 'admins',
  'GET /v1/log': 'all',
  'GET /v1/me': 'keys',
  'GET /v1/outlooks': 'readers',
  'GET /v1/outlooks/:slug': 'readers',
  'GET /v1/outlooks/:slug/chart.svg': 'readers',
  'GET /v1/outlooks/:slug/climatology': 'readers',
  'GET /v1/outlooks/:slug/conditions': 'readers',
  'GET /v1/outlooks/:slug/conditions/:key': 'readers',
  'GET /v1/outlooks/:slug/consensus': 'readers',
  'GET /v1/outlooks/:slug/disclosure': 'analysts of the desk',
  'GET /v1/outlooks/:slug/drawdown': 'readers',
  'GET /v1/outlooks/:slug/events': 'readers',
  'GET /v1/outlooks/:slug/evidence': 'readers',
  'GET /v1/outlooks/:slug/evidence/:id': 'readers',
  'GET /v1/outlooks/:slug/evidence/:id/receipt': 'readers',
  'GET /v1/outlooks/:slug/expected-outcome': 'readers',
  'GET /v1/outlooks/:slug/feed.atom': 'readers',
  'GET /v1/outlooks/:slug/feed.json': 'readers',
  'GET /v1/outlooks/:slug/probabilities': 'readers',
  'GET /v1/outlooks/:slug/resolution': 'readers',
  'GET /v1/outlooks/:slug/resolution/receipt': 'readers',
  'GET /v1/outlooks/:slug/scores': 'readers',
  'GET /v1/outlooks/:slug/versions': 'readers',
  'GET /v1/outlooks/:slug/versions/:version': 'readers',
  'GET /v1/outlooks/:slug/versions/:version/diff': 'readers',
  'GET /v1/outlooks/:slug/versions/:version/receipt': 'readers',
  'GET /v1/outlooks/:slug/views': 'keys',
  'GET /v1/outlooks/:slug/views/:analyst': 'keys',
  'GET /v1/outlooks/:slug/views/:analyst/receipt': 'keys',
  'GET /v1/outlooks/:slug/views/me': 'analysts',
  'GET /v1/outlooks/:slug/views/me/receipt': 'analysts',
  'GET /v1/proposals': 'analysts',
  'GET /v1/proposals/:id': 'analysts',
  'GET /v1/series': 'readers',
  'GET /v1/series/:key': 'readers',
  'GET /v1/series/:key/disclosure': 'analysts of the desk',
  'GET /v1/series/:key/observations': 'readers',
  'GET /v1/series/:key/source': 'feeds',
  'GET /v1/track-record': 'readers',
  'GET /v1/webhooks': 'admins',
  'GET /v1/webhooks/:id': 'admins',
  'GET /v1/webhooks/:id/deliveries': 'admins',
  'GET /verify.html': 'all',
  'PATCH /v1/analysts/:id': 'admins',
  'POST /v1/desks': 'admins',
  'PATCH /v1/desks/:desk': 'admins',
  'POST /v1/instruments': 'analysts',
  'PATCH /v1/instruments/:symbol': 'analysts',
  'POST /v1/keys': 'admins',
  'DELETE /v1/keys/:id': 'admins',
  'POST /v1/outlooks': 'analysts of the desk',
  'POST /v1/outlooks/:slug/revisions': 'analysts of the desk',
  'PATCH /v1/outlooks/:slug/framework': 'analysts of the desk',
  'POST /v1/outlooks/:slug/evidence': 'analysts',
  'PUT /v1/outlooks/:slug/views/me': 'analysts',
  'DELETE /v1/outlooks/:slug/views/me': 'analysts',
  'POST /v1/outlooks/:slug/consensus': 'analysts of the desk',
  'POST /v1/outlooks/:slug/conditions/:key/assessments': 'analysts of the desk',
  'POST /v1/outlooks/:slug/disclosure': 'analysts of the desk',
  'POST /v1/proposals': 'analysts of the desk',
  'PUT /v1/proposals/:id/draft': 'analysts',
  'POST /v1/proposals/:id/comments': 'analysts',
  'POST /v1/proposals/:id/submission': 'analysts',
  'POST /v1/proposals/:id/approvals': 'analysts',
  'POST /v1/proposals/:id/return': 'analysts',
  'DELETE /v1/proposals/:id': 'analysts',
  'POST /v1/series': 'feeds of the desk',
  'POST /v1/series/:key/disclosure': 'analysts of the desk',
  'POST /v1/series/:key/observations': 'feeds of the desk',
  'PUT /v1/series/:key/source': 'feeds of the desk',
  'DELETE /v1/series/:key/source': 'feeds of the desk',
  'POST /v1/webhooks': 'admins',
  'PATCH /v1/webhooks/:id': 'admins',
  'DELETE /v1/webhooks/:id': 'admins',
  'POST /v1/webhooks/:id/secret': 'admins',
  'POST /v1/webhooks/:id/test': 'admins',
  // These close the outlook, or have its desk ask for approvals, so they come last.
  'POST /v1/outlooks/:slug/resolution': 'analysts of the desk',
  'POST /v1/outlooks/:slug/withdrawal': 'analysts of the desk',
  'PUT /v1/desks/:desk/policy': 'admins',
};

/** What a request asks for: something that everyone may see, or only its own desk. Each name has the same length. */
const SUBJECTS = {
  public: { slug: 'public-case', key: 'public-yield' },
  internal: { slug: 'hidden-case', key: 'hidden-yield' },
  unknown: { slug: 'absent-case', key: 'absent-yield' },
};
const NO_ID = '00000000-0000-4000-8000-000000000000';
type Visibility = 'public' | 'internal';

/** How the service answers. `unseen`: exactly as about a name that nothing has. */
type Outcome = 'let in' | 'no key' | 'wrong role' | 'wrong desk' | 'unseen';

let issuer: TokenIssuer;
let ledger: TestLedger;
let callers: Caller[];
const routes = new Map<string, RouteOptions>();
/** Ids of what belongs to each subject, by the parameter of the path. */
const ids: Record<Visibility, Record<string, string>> = { public: {}, internal: {} };

const noteRoutes = (message: unknown) => {
  const { fastify } = message as { fastify: FastifyInstance };
  fastify.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) routes.set(`${method} ${route.url}`, route);
  });
};

beforeAll(async () => {
  issuer = await new TokenIssuer().open();
  subscribe('fastify.initialization', noteRoutes);
  ledger = await startLedger({ oidc: issuer.settings('desks') });
  unsubscribe('fastify.initialization', noteRoutes);
  const { keys } = ledger;
  await ask('POST', '/v1/desks', `Bearer ${keys.admin}`, { slug: 'rates', name: 'Rates desk' });
  callers = await everyCaller(ledger, issuer);
  for (const visibility of ['public', 'internal'] as const) await publish(visibility);
});
afterAll(async () => {
  await ledger.close();
  await issuer.close();
});

/** Sends a request that has to succeed. */
async function ask(method: 'POST' | 'PUT', url: string, authorization: string, payload: object) {
  const response = await ledger.app.inject({ method, url, headers: { authorization }, payload });
  expect(response.statusCode, `${url} ${response.body}`).toBeLessThan(300);
  return response.json<{ id: string; analyst: { id: string } }>();
}

/** Publishes an outlook and a series of the desk, with all that belongs to them. */
async function publish(visibility: Visibility): Promise<void> {
  const { slug, key } = SUBJECTS[visibility];
  const own = ({ role, desks }: Caller) => role === 'analyst' && desks === 'own';
  const analyst = callers.find(own)?.authorization ?? '';
  const feed = callers.find(({ role, desks }) => role === 'feed' && desks === 'own');
  const example = (operation: string) =>
    Object.values(REQUEST_EXAMPLES[operation] ?? {}).at(-1)?.value as object;
  const url = `/v1/outlooks/${slug}`;
  await ask('POST', '/v1/outlooks', analyst, { ...outlookBody({ slug }), visibility });
  await ask('POST', `${url}/revisions`, analyst, { reaffirm: true, rationale: 'No news.' });
  const { id } = await ask('POST', `${url}/evidence`, analyst, example('addEvidence'));
  const held = await ask('PUT', `${url}/views/me`, analyst, example('holdView'));
  const body = { reaffirm: true, rationale: 'Nothing new.' };
  const proposal = { kind: 'revision', outlook: slug, body };
  const { id: proposed } = await ask('POST', '/v1/proposals', analyst, proposal);
  ids[visibility] = { id, analyst: held.analyst.id, proposal: proposed };
  const series = { ...example('createSeries'), key, visibility };
  await ask('POST', '/v1/series', feed?.authorization ?? '', series);
}

const GENERAL: Record<string, string> = {
  version: '1',
  symbol: 'RUT',
  code: 'not-found',
  generation: '1',
  level: '0',
  tile: '000',
  digest: 'x',
  name: 'x',
  desk: 'main',
  '*': 'x',
};

type Subject = 'outlooks' | 'series' | 'proposals' | 'policies';

/** The kind of thing that a route is about, which not everyone may see; null if it is about no such thing. */
function subjectOf(url: string): Subject | null {
  if (/\/outlooks\/:slug(\/|$)/.test(url)) return 'outlooks';
  if (url.startsWith('/v1/series/:key')) return 'series';
  if (url.startsWith('/v1/proposals/:id')) return 'proposals';
  return url === '/v1/desks/:desk/policy' ? 'policies' : null;
}

/** The target of a request for a route, about a subject. */
function targetOf(url: string, subject: keyof typeof SUBJECTS, parts: Visibility): string {
  const { slug, key } = SUBJECTS[subject];
  const about = subjectOf(url);
  const names: Record<string, string> = {
    ...GENERAL,
    ...ids[parts],
    slug,
    key: about === 'series' ? key : 'domestic-breadth',
    ...(about === 'policies' && { desk: 'rates' }),
    ...(about === 'proposals' && {
      id: (subject !== 'unknown' && ids[parts]['proposal']) || NO_ID,
    }),
    ...(url.startsWith('/v1/analysts/') && { id: ids.public['analyst'] ?? '' }),
    ...(/\/(keys|webhooks)\//.test(url) && { id: NO_ID }),
  };
  const path = url.replace(/:(\w+)|\*/g, (all, name?: string) => names[name ?? all] ?? all);
  const query: Record<string, string> = {
    '/v1/batch/outlooks': `?slugs=${slug}`,
    '/v1/outlooks/:slug/versions/:version/diff': '?against=2',
  };
  return path + (query[url] ?? '');
}

/** The body of a request for a route that a caller with all rights may send. */
function bodyOf(operation: string): object {
  const examples = REQUEST_EXAMPLES[operation] ?? {};
  const { value = {} } = examples['early'] ?? Object.values(examples)[0] ?? {};
  const others: Record<string, object> = {
    discloseOutlook: { confirm: `sha256:${'0'.repeat(64)}` },
    discloseSeries: { confirm: `sha256:${'0'.repeat(64)}` },
    addDesk: { slug: 'credit', name: 'Credit desk' },
    renameDesk: { name: 'First desk' },
    openProposal: { kind: 'outlook', body: outlookBody({ slug: 'proposed-case' }) },
  };
  return others[operation] ?? (value as object);
}

type Answer = { status: number; code: string | undefined; face: string };

/** Sends a request. Of a stream that opens, only the beginning is read. */
async function send(
  method: string,
  route: RouteOptions,
  url: string,
  caller: Caller,
): Promise<Answer> {
  const { body, operationId = '' } = (route.schema ?? {}) as {
    body?: unknown;
    operationId?: string;
  };
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const { authorization } = caller;
  const response = await ledger.app.inject({
    method: method as 'GET',
    url,
    headers: {
      ...(authorization !== undefined && { authorization }),
      ...(body !== undefined && { 'content-type': type }),
    },
    ...(body !== undefined && { payload: JSON.stringify(bodyOf(operationId)) }),
    payloadAsStream: true,
  });
  const stream = response.stream();
  const isOpen = String(response.headers['content-type']).startsWith('text/event-stream');
  let text = '';
  if (isOpen) stream.destroy();
  else for await (const chunk of stream) text += String(chunk);
  const { 'x-request-id': id, date: _, ...headers } = response.headers;
  const isProblem = String(headers['content-type']).startsWith('application/problem+json');
  const { type: problem } = isProblem && text !== '' ? (JSON.parse(text) as { type: string }) : {};
  return {
    status: response.statusCode,
    code: problem?.replace('/problems/', ''),
    face: JSON.stringify({ status: response.statusCode, headers, text }).replaceAll(
      String(id),
      'ID',
    ),
  };
}

function routeOf(method: string, url: string): RouteOptions {
  const route = routes.get(`${method} ${url}`);
  if (!route) throw new Error(`the service has no route ${method} ${url}`);
  return route;
}

/** What a caller learns from the response about a subject. */
async function outcomeOf(
  { method, url, access }: { method: string; url: string; access: Access },
  caller: Caller,
  visibility: Visibility,
): Promise<Outcome | 'leak'> {
  const route = routeOf(method, url);
  const ask = (subject: keyof typeof SUBJECTS) =>
    send(method, route, targetOf(url, subject, visibility), caller);
  const { status, code, face } = await ask(visibility);
  // The names of desks are public, so this 404 may tell that there is such a desk.
  if (subjectOf(url) === 'policies' && status === 404) return 'unseen';
  const isAbout = access !== 'all' && !['policies', null].includes(subjectOf(url));
  if (isAbout && (status === 404 || hides(url, caller, visibility))) {
    const unknown = await ask('unknown');
    const isSame = masked(face) === masked(unknown.face);
    if (status === 404 && isSame) return 'unseen';
    if (hides(url, caller, visibility) && !isSame) return 'leak';
  }
  if (status === 401) return 'no key';
  if (code === 'forbidden') return 'wrong role';
  return code === 'wrong-desk' ? 'wrong desk' : 'let in';
}

const NAMES = new RegExp(Object.values(SUBJECTS).flatMap(Object.values).join('|'), 'g');
const UUIDS = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const masked = (face: string) => face.replaceAll(NAMES, 'NAME').replaceAll(UUIDS, 'ID');

const acts = ({ desks }: Caller) => desks === 'own' || desks === 'all';
/** Proposals and policies are for their desk, whatever they are about. */
const hides = (url: string, caller: Caller, visibility: Visibility) =>
  !acts(caller) &&
  (visibility === 'internal' || ['proposals', 'policies'].includes(subjectOf(url) ?? ''));

const NEEDED = { analysts: 'analyst', feeds: 'feed', admins: 'admin' } as const;

function expected(url: string, access: Access, caller: Caller, visibility: Visibility): Outcome {
  if (access === 'all') return 'let in';
  const [who = '', desk] = access.split(' of ');
  if (who !== 'readers') {
    if (caller.role === null) return 'no key';
    const needed = NEEDED[who as keyof typeof NEEDED] as (typeof NEEDED)['feeds'] | undefined;
    if (needed && !roleAllows(caller.role, needed)) return 'wrong role';
  }
  const isAbout = subjectOf(url) !== null;
  if (isAbout && hides(url, caller, visibility)) return 'unseen';
  const isWrong = isAbout ? !acts(caller) : caller.desks === 'none';
  return desk !== undefined && isWrong ? 'wrong desk' : 'let in';
}

test('every route of the service has a line here, and every line a route', () => {
  const served = [...routes.keys()].filter((route) => !/^(HEAD|OPTIONS) /.test(route));
  expect(served.toSorted()).toEqual(Object.keys(ROUTES).toSorted());
});

test.each(['/v1/outlooks/:slug', '/outlooks/:slug', '/v1/series/:key'])(
  'HEAD %s tells as little as GET',
  async (url) => {
    const route = routeOf('HEAD', url);
    for (const caller of callers) {
      const ask = (subject: keyof typeof SUBJECTS) =>
        send('HEAD', route, targetOf(url, subject, 'internal'), caller);
      const [hidden, unknown] = [await ask('internal'), await ask('unknown')];
      expect(masked(hidden.face) === masked(unknown.face), caller.name).toBe(!acts(caller));
    }
  },
);

test('a token acts for all desks where no claim names them', async () => {
  const open = await startLedger({ oidc: issuer.settings(null) });
  try {
    const admin = { authorization: `Bearer ${open.keys.admin}` };
    const post = (url: string, headers: Record<string, string>, payload: object) =>
      open.app.inject({ method: 'POST', url, headers, payload });
    await post('/v1/desks', admin, { slug: 'rates', name: 'Rates desk' });
    const authorization = await issuer.authorization('Ada', 'analyst', open.clock.now);
    for (const desk of ['main', 'rates']) {
      const slug = `${desk}-case`;
      const body = { ...outlookBody({ slug }), desk, visibility: 'internal' };
      expect((await post('/v1/outlooks', { authorization }, body)).statusCode).toBe(201);
      const read = await open.app.inject({
        url: `/v1/outlooks/${slug}`,
        headers: { authorization },
      });
      expect(read.statusCode).toBe(200);
    }
  } finally {
    await open.close();
  }
});

test.each(Object.entries(ROUTES))('%s is for %s', async (route, access) => {
  const [method = '', url = ''] = route.split(' ');
  const rows = casesOf(url, access).map(({ caller, visibility }) => ({
    caller,
    visibility,
    label: `${caller.name}, ${visibility}`,
    outcome: expected(url, access, caller, visibility),
  }));
  const due = Object.fromEntries(rows.map(({ label, outcome }) => [label, outcome]));
  const seen: Record<string, string> = {};
  // Those who are let in may change something, so the others ask first.
  const isLetIn = ({ outcome }: { outcome: Outcome }) => Number(outcome === 'let in');
  for (const { caller, visibility, label } of rows.toSorted((a, b) => isLetIn(a) - isLetIn(b)))
    seen[label] = await outcomeOf({ method, url, access }, caller, visibility);
  expect(seen).toEqual(due);
});

/** Who asks a route for what. Where nothing can be refused, and where tokens are as keys, some callers suffice. */
function casesOf(url: string, access: Access): { caller: Caller; visibility: Visibility }[] {
  const ask = (visibility: Visibility, those: Caller[]) =>
    those.map((caller) => ({ caller, visibility }));
  if (access === 'all') return ask('public', callers.slice(0, 1));
  const isAbout = subjectOf(url) !== null;
  if (!isAbout) return ask('public', access === 'readers' ? callers.slice(0, 3) : callers);
  const withoutTokens = callers.filter(({ name }) => !name.startsWith('token of the'));
  return [...ask('internal', callers), ...ask('public', withoutTokens)];
}
