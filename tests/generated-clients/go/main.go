// Uses the client that openapi-generator makes for Go, and prints what it read.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	ledger "example.com/ledger"
)

const slug = "russell-2000-downside"

func form(rule ledger.Rule) string {
	if rule.Series != nil {
		return *rule.Series
	}
	if len(rule.All) > 0 {
		return fmt.Sprintf("all %d", len(rule.All))
	}
	return fmt.Sprintf("any %d", len(rule.Any))
}

func must[Value any](value Value, _ any, err error) Value {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	settings := ledger.NewConfiguration()
	settings.Servers = ledger.ServerConfigurations{{URL: os.Getenv("BASE_URL")}}
	client := ledger.NewAPIClient(settings)
	ctx := context.WithValue(context.Background(), ledger.ContextAccessToken, os.Getenv("KEY"))
	outlook := must(client.OutlooksAPI.GetOutlook(ctx, slug).Execute())
	rules := map[string]string{}
	for _, condition := range outlook.InvalidationConditions {
		if rule := condition.Rule.Get(); rule != nil {
			rules[condition.Key] = form(*rule)
		}
	}
	revise := func(base float64, rationale string) (*ledger.Outlook, any, error) {
		body := ledger.RevisionInput{Rationale: rationale}
		body.SetProbabilities(*ledger.NewProbabilitiesInput(0.35, base, 0.25))
		outlook, response, err := client.RevisionsAPI.ReviseOutlook(ctx, slug).RevisionInput(body).Execute()
		return outlook, response, err
	}
	revised := must(revise(0.4, "Yields rose."))
	_, _, err := revise(0.45, "Too much.")
	var refused *ledger.GenericOpenAPIError
	if !errors.As(err, &refused) {
		panic(err)
	}
	problem := refused.Model().(ledger.Problem)
	history := must(client.VersionsAPI.GetProbabilities(ctx, slug).Execute())
	diff := must(client.VersionsAPI.GetDiff(ctx, slug, 2).Execute())
	evidence := must(client.EvidenceAPI.ListEvidence(ctx, slug).Execute())
	listed := must(client.VersionsAPI.ListVersions(ctx, slug).Execute())
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
