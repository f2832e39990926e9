import { writeFileSync } from 'node:fs';

// The package is of modules, and without this file, so would be what is in that folder.
writeFileSync(new URL('dist/cjs/package.json', import.meta.url), '{"type":"commonjs"}\n');
