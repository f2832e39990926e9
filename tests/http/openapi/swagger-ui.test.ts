import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../../support/ledger.ts';
import { DOCUMENT } from '../../support/openapi.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ requireKeyForReads: true });
});
afterAll(() => ledger.close());

const CSP =
  "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self';base-uri 'none';form-action 'none';frame-ancestors 'none'";

describe('Swagger UI', () => {
  test('is public, like everything that its page refers to', async () => {
    const page = await ledger.call({ url: '/docs' });
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toContain('text/html');
    const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) =>
      String(file),
    );
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) {
      const url = new URL(file, 'http://here/docs').pathname;
      expect([url, (await ledger.call({ url })).statusCode]).toEqual([url, 200]);
    }
  });

  test('has no inline script or style, which its policy would refuse', async () => {
    const { body } = await ledger.call({ url: '/docs' });
    expect(body).not.toMatch(/<script(?![^>]* src=)[^>]*>|<style|\son\w+=|\sstyle=/);
  });

  test('keeps no key, and removes those that earlier releases kept', async () => {
    const initializer = await ledger.call({ url: '/docs/static/swagger-initializer.js' });
    expect(initializer.body).toContain('"persistAuthorization":false');
    const page = await ledger.call({ url: '/docs' });
    expect(page.body).toContain('src="/docs/static/theme/forget-keys.js"');
    const script = await ledger.call({ url: '/docs/static/theme/forget-keys.js' });
    expect(script.body).toBe("localStorage.removeItem('authorized');\n");
  });

  test.for([
    ['/docs/static/index.css', { 'if-match': '"other"' }, 412, 'precondition-failed'],
    ['/docs/static/index.css', { range: 'bytes=999999-' }, 416, 'range-not-satisfiable'],
    ['/docs/static/%2e%2e/package.json', {}, 404, 'not-found'],
    ['/docs/static/none.css', {}, 404, 'not-found'],
  ] as const)('of %s with %j refuses with its status', async ([url, headers, status, code]) => {
    const refused = await ledger.call({ url, headers });
    expect(refused.statusCode).toBe(status);
    expect(refused.json()).toMatchObject({ type: `/problems/${code}`, status });
  });

  test('shows the document that is served', async () => {
    const shown = (await ledger.call({ url: '/docs/json' })).json<{ servers: { url: string }[] }>();
    expect({ ...shown, servers: [] }).toEqual({ ...DOCUMENT, servers: [] });
    // Its policy lets a page ask only the origin that it was loaded from.
    expect(shown.servers.map(({ url }) => url)).toEqual(['/']);
  });
});

test.for(['/docs', '/docs/static/swagger-ui.css', '/openapi.json', '/v1/outlooks', '/nowhere'])(
  '%s has the security headers',
  async (url) => {
    const { headers } = await ledger.call({ url });
    expect(headers['content-security-policy']).toBe(CSP);
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers['strict-transport-security']).toBeUndefined();
    expect(headers['server'] ?? headers['x-powered-by']).toBeUndefined();
  },
);
