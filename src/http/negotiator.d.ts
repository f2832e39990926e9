/** Negotiates by headers. The package has no types for this release. */
declare module 'negotiator' {
  export default class Negotiator {
    constructor(request: { headers: Record<string, string> });
    /** The available media types that `Accept` accepts, the preferred first; all of them without the header. */
    mediaTypes(available: readonly string[]): string[];
    /**
     * The available content codings that `Accept-Encoding` accepts, the preferred first.
     * @param options the order of codings that have the same weight
     */
    encodings<Coding extends string>(
      available: readonly Coding[],
      options: { preferred: readonly Coding[] },
    ): Coding[];
  }
}
