// Uses the client that oapi-codegen makes, and prints what it read.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"example.com/client/ledger"
)

const slug = "russell-2000-downside"

func form(rule ledger.Rule) string {
	if rule.Series != nil {
		return *rule.Series
	}
	if rule.All != nil {
		return fmt.Sprintf("all %d", len(*rule.All))
	}
	return fmt.Sprintf("any %d", len(*rule.Any))
}

func must[Value any](value Value, err error) Value {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	ctx := context.Background()
	authorize := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("KEY"))
		return nil
	}
	client := must(ledger.NewClientWithResponses(os.Getenv("BASE_URL"), ledger.WithRequestEditorFn(authorize)))
	outlook := must(client.GetOutlookWithResponse(ctx, slug, nil)).JSON200
	rules := map[string]string{}
	for _, condition := range outlook.InvalidationConditions {
		if condition.Rule != nil {
			rules[condition.Key] = form(*condition.Rule)
		}
	}
	revise := func(base float64, rationale string) *ledger.ReviseOutlookResponse {
		probabilities := ledger.ProbabilitiesInput{Bear: 0.35, Base: base, Bull: 0.25}
		body := ledger.RevisionInput{Probabilities: &probabilities, Rationale: rationale}
		return must(client.ReviseOutlookWithResponse(ctx, slug, nil, body))
	}
	revised := revise(0.4, "Yields rose.").JSON201
	problem := revise(0.45, "Too much.").ApplicationproblemJSON422
	history := must(client.GetProbabilitiesWithResponse(ctx, slug, nil)).JSON200
	diff := must(client.GetDiffWithResponse(ctx, slug, 2, nil)).JSON200
	evidence := must(client.ListEvidenceWithResponse(ctx, slug, nil)).JSON200
	listed := must(client.ListVersionsWithResponse(ctx, slug, nil)).JSON200
	text, _ := json.Marshal(map[string]any{
		"rules":    rules,
		"listed":   len(listed.Items),
		"version":  revised.Version,
		"history":  len(history.Points),
		"moved":    diff.Probabilities.Deltas.Bear,
		"evidence": evidence.Items[0].Claims[0].Target.Kind,
		"problem":  problem.Type,
		"excess":   problem.Excess,
	})
	fmt.Println(string(text))
}
