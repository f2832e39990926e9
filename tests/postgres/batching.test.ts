import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batchCalls } from '../../src/postgres/batching.ts';

test('each question gets its own answer, in batches within both limits', async () => {
  const bounds = fc.integer({ min: 1, max: 5 });
  const pauses = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(bounds, bounds, pauses, async (most, atOnce, waits) => {
      let [underWay, mostUnderWay, largest] = [0, 0, 0];
      const asked: number[] = [];
      const ask = batchCalls<number, string>(
        async (questions) => {
          mostUnderWay = Math.max(mostUnderWay, (underWay += 1));
          largest = Math.max(largest, questions.length);
          asked.push(...questions);
          await delay(1);
          underWay -= 1;
          return questions.map((question) =>
            question % 7 === 3 ? new Error(`not ${question}`) : `answer ${question}`,
          );
        },
        { most, atOnce },
      );
      const answers = await Promise.allSettled(
        waits.map(async (wait, question) => {
          if (wait > 0) await delay(wait);
          return ask(question);
        }),
      );
      for (const [question, answer] of answers.entries()) {
        const due = question % 7 === 3 ? 'rejected' : 'fulfilled';
        expect(answer.status).toBe(due);
        const outcome = answer.status === 'fulfilled' ? answer.value : String(answer.reason);
        expect(outcome).toContain(due === 'fulfilled' ? `answer ${question}` : `not ${question}`);
      }
      expect(asked.toSorted((a, b) => a - b)).toEqual(waits.map((_, question) => question));
      expect(largest).toBeLessThanOrEqual(most);
      expect(mostUnderWay).toBeLessThanOrEqual(atOnce);
    }),
    { numRuns: 40 },
  );
});

test('questions that arrive while a batch runs go together', async () => {
  const goes: number[][] = [];
  const ask = batchCalls<number, number>(
    async (questions) => {
      goes.push(questions);
      await delay(5);
      return questions;
    },
    { most: 10, atOnce: 1 },
  );
  const first = ask(0);
  await delay(2);
  await Promise.all([first, ...Array.from({ length: 12 }, (_, index) => ask(index + 1))]);
  expect(goes.map(({ length }) => length)).toEqual([1, 10, 2]);
});

test('if a batch fails, each of its calls does, and the next is answered', async () => {
  let isDown = true;
  const ask = batchCalls<number, number>(
    async (questions) => {
      if (isDown) throw new Error('down');
      return questions;
    },
    { most: 10, atOnce: 1 },
  );
  const outcomes = await Promise.allSettled([ask(1), ask(2)]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  isDown = false;
  expect(await ask(3)).toBe(3);
});
