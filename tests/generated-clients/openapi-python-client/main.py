"""Uses the client that openapi-python-client makes, and prints what it read."""

import json
import os

from outlook_ledger_client import AuthenticatedClient
from outlook_ledger_client.api.evidence import list_evidence
from outlook_ledger_client.api.outlooks import get_outlook
from outlook_ledger_client.api.revisions import revise_outlook
from outlook_ledger_client.api.versions import get_diff, get_probabilities, list_versions
from outlook_ledger_client.models import Outlook, ProbabilitiesInput, Problem, RevisionInput
from outlook_ledger_client.types import Unset

SLUG = "russell-2000-downside"


def form(rule):
    if not isinstance(rule.series, Unset):
        return rule.series
    return f"all {len(rule.all_)}" if not isinstance(rule.all_, Unset) else f"any {len(rule.any_)}"


def revise(client, base, rationale):
    probabilities = ProbabilitiesInput(bear=0.35, base=base, bull=0.25)
    body = RevisionInput(probabilities=probabilities, rationale=rationale)
    return revise_outlook.sync(SLUG, client=client, body=body)


client = AuthenticatedClient(base_url=os.environ["BASE_URL"], token=os.environ["KEY"])
outlook = get_outlook.sync(SLUG, client=client)
assert isinstance(outlook, Outlook), outlook
revised = revise(client, 0.4, "Yields rose.")
assert isinstance(revised, Outlook), revised
problem = revise(client, 0.45, "Too much.")
assert isinstance(problem, Problem), problem
print(
    json.dumps(
        {
            "rules": {c.key: form(c.rule) for c in outlook.invalidation_conditions if c.rule},
            "listed": len(list_versions.sync(SLUG, client=client).items),
            "version": revised.version,
            "history": len(get_probabilities.sync(SLUG, client=client).points),
            "moved": get_diff.sync(SLUG, 2, client=client).probabilities.deltas.bear,
            "evidence": list_evidence.sync(SLUG, client=client).items[0].claims[0].target.kind,
            "problem": problem.type_,
            "excess": problem.excess,
        }
    )
)
