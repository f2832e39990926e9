/** What auto_explain logs of a statement. */
export type Explained = { text: string; milliseconds: number; plan: PlanNode };

/** A node of a plan in JSON (PostgreSQL documentation, EXPLAIN); counts of rows are means over its loops. */
export type PlanNode = {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows'?: number;
  'Actual Loops'?: number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: PlanNode[];
};

/** Settings of PostgreSQL with which it logs the plan of each statement, also of those in functions. */
export const EXPLAIN_ALL = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_timing': 'off',
  'auto_explain.log_nested_statements': 'on',
  'auto_explain.log_format': 'json',
};

/** Reads plans from the lines of PostgreSQL's log. */
export class PlanLog {
  #begun: { milliseconds: number; lines: string[] } | null = null;
  #explained: Explained[] = [];

  /** Takes a line of the log. The lines of a message after the first begin with a tab. */
  read(line: string): void {
    const start = /duration: ([\d.]+) ms {2}plan:/.exec(line);
    if (start) {
      this.#begun = { milliseconds: Number(start[1]), lines: [] };
    } else if (this.#begun && line.startsWith('\t')) {
      this.#begun.lines.push(line.slice(1));
      if (line === '\t}') this.#end(this.#begun);
    }
  }

  #end({ milliseconds, lines }: { milliseconds: number; lines: string[] }): void {
    this.#begun = null;
    const parsed = JSON.parse(lines.join('\n')) as { 'Query Text': string; Plan: PlanNode };
    this.#explained.push({ text: parsed['Query Text'], milliseconds, plan: parsed.Plan });
  }

  /** What was read since the last call. */
  take(): Explained[] {
    return this.#explained.splice(0);
  }
}

/** A table that a statement read: by an index, or from its start to its end if `index` is null. */
export type Scan = { table: string; index: string | null; rows: number };

export function scansOf(plan: PlanNode): Scan[] {
  const below = (plan.Plans ?? []).flatMap(scansOf);
  const table = plan['Relation Name'];
  const isBitmap = plan['Node Type'] === 'Bitmap Heap Scan';
  const isIndexOfBitmap = plan['Node Type'] === 'Bitmap Index Scan';
  const index = plan['Index Name'] ?? null;
  if (isIndexOfBitmap) return [...below, { table: '', index, rows: rowsOf(plan) }];
  if (table === undefined || isBitmap || plan['Node Type'] === 'ModifyTable') return below;
  return [...below, { table, index, rows: rowsOf(plan) }];
}

function rowsOf(plan: PlanNode): number {
  const removed =
    (plan['Rows Removed by Filter'] ?? 0) + (plan['Rows Removed by Index Recheck'] ?? 0);
  return Math.round(((plan['Actual Rows'] ?? 0) + removed) * (plan['Actual Loops'] ?? 0));
}
