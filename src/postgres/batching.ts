import { Busy } from './pool.ts';

/** How long a question may wait to be asked, in milliseconds; as long as for a connection of the pool. */
const ASKED_WITHIN = 5_000;

type Waiting<Question, Answer> = {
  question: Question;
  since: number;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
};

/**
 * Asks in one go for all who ask while the answer to earlier questions is on its way: alone a question
 * goes out at once, and under load a statement and its commit serve many. Written here because what is
 * published for this (dataloader) gathers by the tick, whatever is under way.
 * @param ask answers in the order of the questions; an Error is for that question alone
 * @param most questions in one go
 * @param atOnce how many goes may be under way
 */
export function batchCalls<Question, Answer>(
  ask: (questions: Question[]) => Promise<readonly (Answer | Error)[]>,
  { most, atOnce }: { most: number; atOnce: number },
): (question: Question) => Promise<Answer> {
  const waiting: Waiting<Question, Answer>[] = [];
  let underWay = 0;

  const go = async () => {
    while (waiting.length > 0) {
      const asked = waiting.splice(0, most);
      try {
        const answers = await ask(asked.map(({ question }) => question));
        for (const [index, { resolve, reject }] of asked.entries()) {
          const answer = answers[index] as Answer | Error;
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
        }
      } catch (error) {
        for (const { reject } of asked) reject(error);
      }
    }
    underWay -= 1;
  };

  const refuseLate = (now: number) => {
    while (waiting[0] && now - waiting[0].since > ASKED_WITHIN) {
      waiting.shift()?.reject(new Busy('asked of nobody in time'));
    }
  };

  return (question) =>
    new Promise((resolve, reject) => {
      const since = performance.now();
      refuseLate(since);
      waiting.push({ question, since, resolve, reject });
      if (underWay >= atOnce) return;
      underWay += 1;
      setImmediate(() => void go()); // with what else arrived in this turn of the event loop
    });
}
