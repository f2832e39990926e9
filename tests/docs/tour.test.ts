import { afterAll, beforeAll, expect, test } from 'vitest';
import { codeBlocksOf, textOf } from '../support/documents.ts';
import { cleanUp, keysShown, newFolder, type Service, startService } from '../support/service.ts';
import { missingPart, type Printed, runSteps, stepsOf } from '../support/tour.ts';

// Runs docs/tour.md against a fresh service: it prints what a reader will see.

const STEPS = stepsOf('docs/tour.md');

let service: Service;
let printed: Printed[];
beforeAll(async () => {
  service = await startService({ DATA_DIR: newFolder() });
  const [key = ''] = keysShown(service.stdout());
  printed = await runSteps(STEPS, (script) =>
    script.replace('KEY=olk_…', `KEY=${key}`).replaceAll('http://127.0.0.1:3000', service.origin),
  );
}, 300_000);
afterAll(cleanUp);

test('the steps of the tour are found', () => {
  expect(STEPS.length).toBeGreaterThan(20);
  expect(STEPS.filter(({ output }) => output !== '').length).toBeGreaterThan(15);
});

test('the first start prints what the tour shows', () => {
  const shown = codeBlocksOf(textOf('docs/tour.md')).find(({ language }) => language === 'text');
  expect(missingPart(`…${shown?.text}…`, service.stdout())).toBeNull();
});

test.each(STEPS.map((step, index) => ({ ...step, index })))(
  '$command prints what the tour shows',
  ({ output, index }) => {
    const { output: actual, status } = printed[index] ?? { output: '', status: 'never run' };
    expect(missingPart(output, actual), `printed: ${actual.slice(0, 1_000)}`).toBeNull();
    expect(status).toBe('0');
  },
);

test('the README shows the first steps of the tour', () => {
  const steps = stepsOf('README.md');
  expect(steps).toHaveLength(3);
  expect(STEPS).toEqual(expect.arrayContaining(steps));
});
