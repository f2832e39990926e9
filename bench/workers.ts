import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { register } from './processes.ts';

/** A program of this folder in a process of its own, which does one job after the other. */
export type Worker<Job, Answer> = {
  pid: number;
  /** @param limit how long the job may take, in milliseconds */
  ask: (job: Job, limit: number) => Promise<Answer>;
  stop: () => void;
};

type Message<Answer> = { answer: Answer } | { failure: string };

export function startWorker<Job, Answer>(program: string): Worker<Job, Answer> {
  const child = fork(fileURLToPath(new URL(program, import.meta.url)), {
    execArgv: ['--import', import.meta.resolve('tsx')],
    serialization: 'advanced',
  });
  register(child);
  const ask = (job: Job, limit: number) =>
    new Promise<Answer>((resolve, reject) => {
      const settle = (message: Message<Answer>) => {
        clearTimeout(timer);
        child.off('exit', onExit).off('message', settle);
        if ('answer' in message) resolve(message.answer);
        else reject(new Error(message.failure));
      };
      const onExit = () => settle({ failure: `${program} ended` });
      const timer = setTimeout(
        () => settle({ failure: `${program} gave no answer within ${limit} ms` }),
        limit,
      );
      child.once('exit', onExit).once('message', settle);
      child.send(job as object);
    });
  return { pid: child.pid ?? 0, ask, stop: () => void child.kill() };
}

/** In a worker: does the jobs that the parent sends, and ends with the parent. */
export function answerJobs(answer: (job: never) => Promise<unknown>): void {
  const reply = (message: Message<unknown>) => void process.send?.(message);
  process.on('message', (job) => {
    answer(job as never).then(
      (answer) => reply({ answer }),
      (error: unknown) =>
        reply({ failure: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}
