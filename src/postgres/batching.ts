import { Busy } from './pool.ts';
import { currentMeter, meterWork, sharedMeter, type WorkMeter } from './work-meter.ts';

/** How long a call may wait for its batch, in milliseconds; as long as for a connection of the pool. */
const LONGEST_WAIT = 5_000;

type Waiting<Question, Answer> = {
  question: Question;
  meter: WorkMeter | undefined;
  since: number;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
};

/**
 * Merges the calls that arrive while an earlier batch runs into one. A lone call goes out at once; under load, one
 * statement and its commit serve many. The published package for this (dataloader) batches by the tick of the event
 * loop, whether a batch runs or not.
 * @param ask answers a batch in the order of its questions; an Error fails that question alone
 * @param most questions in a batch
 * @param atOnce batches that may run at the same time
 * @throws Busy for a call that waited too long
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
        const answers = await meterWork(sharedMeter(asked.map(({ meter }) => meter)), () =>
          ask(asked.map(({ question }) => question)),
        );
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
    while (waiting[0] && now - waiting[0].since > LONGEST_WAIT) {
      waiting.shift()?.reject(new Busy('no batch had room in time'));
    }
  };

  return (question) =>
    new Promise((resolve, reject) => {
      const since = performance.now();
      refuseLate(since);
      waiting.push({ question, meter: currentMeter(), since, resolve, reject });
      if (underWay >= atOnce) return;
      underWay += 1;
      setImmediate(() => void go()); // takes along whatever else arrives in this turn of the event loop
    });
}
