// Uses the client that openapi-generator makes for TypeScript (typescript-fetch), and prints what it read.
import {
  Configuration,
  EvidenceApi,
  OutlooksApi,
  ProblemFromJSON,
  ResponseError,
  RevisionsApi,
  type Rule,
  VersionsApi,
} from './client/index.js';

const slug = 'russell-2000-downside';

function form(rule: Rule): string {
  if (rule.series !== undefined) return rule.series;
  return rule.all ? `all ${rule.all.length}` : `any ${rule.any?.length}`;
}

const settings = new Configuration({
  basePath: process.env['BASE_URL'] ?? '',
  accessToken: process.env['KEY'] ?? '',
});
const outlooks = new OutlooksApi(settings);
const versions = new VersionsApi(settings);
const outlook = await outlooks.getOutlook({ slug });
const revise = (base: number, rationale: string) =>
  new RevisionsApi(settings).reviseOutlook({
    slug,
    revisionInput: { probabilities: { bear: 0.35, base, bull: 0.25 }, rationale },
  });
const revised = await revise(0.4, 'Yields rose.');
const refused: unknown = await revise(0.45, 'Too much.').catch((error: unknown) => error);
if (!(refused instanceof ResponseError)) throw refused;
const problem = ProblemFromJSON(await refused.response.json());
const diff = await versions.getDiff({ slug, version: 2 });
const evidence = await new EvidenceApi(settings).listEvidence({ slug });
console.log(
  JSON.stringify({
    rules: Object.fromEntries(
      outlook.invalidationConditions.flatMap(({ key, rule }) => (rule ? [[key, form(rule)]] : [])),
    ),
    listed: (await versions.listVersions({ slug })).items.length,
    version: revised.version,
    history: (await versions.getProbabilities({ slug })).points.length,
    moved: diff.probabilities.deltas.bear,
    evidence: evidence.items[0]?.claims[0]?.target.kind,
    problem: problem.type,
    excess: problem.excess,
  }),
);
