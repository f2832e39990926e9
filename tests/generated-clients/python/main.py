"""Uses the client that openapi-generator makes for Python, and prints what it read."""

import json
import os

import openapi_client as ledger

SLUG = "russell-2000-downside"


def form(rule):
    return rule.series or (f"all {len(rule.all)}" if rule.all else f"any {len(rule.any)}")


settings = ledger.Configuration(host=os.environ["BASE_URL"], access_token=os.environ["KEY"])
with ledger.ApiClient(settings) as client:
    outlooks = ledger.OutlooksApi(client)
    revisions = ledger.RevisionsApi(client)
    versions = ledger.VersionsApi(client)
    outlook = outlooks.get_outlook(SLUG)
    probabilities = ledger.ProbabilitiesInput(bear=0.35, base=0.4, bull=0.25)
    revised = revisions.revise_outlook(
        SLUG, ledger.RevisionInput(probabilities=probabilities, rationale="Yields rose.")
    )
    try:
        probabilities = ledger.ProbabilitiesInput(bear=0.35, base=0.45, bull=0.25)
        revisions.revise_outlook(
            SLUG, ledger.RevisionInput(probabilities=probabilities, rationale="Too much.")
        )
        raise AssertionError("the sum was accepted")
    except ledger.ApiException as refused:
        problem = refused.data
        assert isinstance(problem, ledger.Problem), problem
    print(
        json.dumps(
            {
                "rules": {c.key: form(c.rule) for c in outlook.invalidation_conditions if c.rule},
                "listed": len(versions.list_versions(SLUG).items),
                "version": revised.version,
                "history": len(versions.get_probabilities(SLUG).points),
                "moved": versions.get_diff(SLUG, 2).probabilities.deltas.bear,
                "evidence": ledger.EvidenceApi(client).list_evidence(SLUG).items[0].claims[0].target.kind,
                "problem": problem.type,
                "excess": problem.excess,
            }
        )
    )
