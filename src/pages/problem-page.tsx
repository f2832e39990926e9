import type { VNode } from 'preact';
import { PROBLEMS } from '../http/problem-catalogue.ts';
import type { Problem } from '../http/problems.ts';
import { Text } from './parts.tsx';

/** What a reader is told who can't be shown what the address asks for. */
export function ProblemPage({ problem }: { problem: Problem }): VNode {
  return (
    <>
      <h1>{PROBLEMS[problem.code].title}</h1>
      <p>
        <Text>{problem.message}</Text>
      </p>
      {problem.errors.length > 0 && (
        <ul>
          {problem.errors.map(({ pointer, detail }) => (
            <li>
              <code>{pointer.slice(1)}</code> <Text>{detail}</Text>
            </li>
          ))}
        </ul>
      )}
      <p>
        <a href="/">All outlooks</a>
      </p>
    </>
  );
}
