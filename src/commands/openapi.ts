import { readFileSync, writeFileSync } from 'node:fs';
import { pino } from 'pino';
import { buildApp } from '../app.ts';
import { readConfig } from '../config.ts';
import { ChangeFeed } from '../postgres/change-feed.ts';
import { connect } from '../postgres/pool.ts';

const FILE = new URL('../../openapi/openapi.json', import.meta.url);

// Describing the routes runs no query, so nothing connects to this database.
const pool = connect({ max: 1 }, () => {});
const app = await buildApp({
  config: readConfig({}),
  pool,
  feed: new ChangeFeed(pool, () => {}),
  now: () => new Date(),
  logger: pino({ level: 'silent' }),
});
await app.ready();
const document = `${JSON.stringify(app.swagger(), null, 2)}\n`;

if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== document) {
    process.stderr.write('openapi/openapi.json is out of date: run npm run openapi\n');
    process.exitCode = 1;
  }
} else {
  writeFileSync(FILE, document);
}
