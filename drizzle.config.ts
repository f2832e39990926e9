import { defineConfig } from 'drizzle-kit';

// drizzle-kit loads the tables with `require`. They import src/domain, which needs a package that is published as an ES
// module only: run it by `npm run db:generate`, which sets the import condition that lets it find the package.
export default defineConfig({
  dialect: 'postgresql',
  schema: './src/postgres/tables/*.ts',
  out: './migrations',
});
