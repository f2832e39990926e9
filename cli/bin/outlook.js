#!/usr/bin/env node
// Committed, so that npm links it before anything is built.
await import('../dist/outlook.js');
