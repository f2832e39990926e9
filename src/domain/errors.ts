/** What is wrong with one field: where it stands in the document, and how to mend it. */
export type Fault = { path: readonly (string | number)[]; detail: string };

export type DomainErrorCode =
  | 'slug-taken'
  | 'symbol-taken'
  | 'unknown-instrument'
  | 'outlook-not-found'
  | 'version-not-found'
  | 'instrument-not-found'
  | 'key-not-found'
  | 'no-change'
  | 'outlook-closed';

/** A refusal by a rule of the ledger. `code` is stable; the http layer gives it a status. */
export class DomainError extends Error {
  readonly code: DomainErrorCode;
  readonly faults: readonly Fault[];

  constructor(code: DomainErrorCode, detail: string, faults: readonly Fault[] = []) {
    super(detail);
    this.name = 'DomainError';
    this.code = code;
    this.faults = faults;
  }
}
