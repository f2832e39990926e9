import type { VNode } from 'preact';
import { PROBLEMS } from '../http/problem-catalogue.ts';
import type { Problem } from '../http/problems.ts';
import { Text } from './parts.tsx';

/** The page for a reader whose request failed. */
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
