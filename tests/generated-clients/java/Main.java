// Uses the client that openapi-generator makes for Java (library native), and prints what it read.
import java.util.LinkedHashMap;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.EvidenceApi;
import org.openapitools.client.api.OutlooksApi;
import org.openapitools.client.api.RevisionsApi;
import org.openapitools.client.api.VersionsApi;
import org.openapitools.client.model.Outlook;
import org.openapitools.client.model.ProbabilitiesInput;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.RevisionInput;
import org.openapitools.client.model.Rule;

public class Main {
  private static final String SLUG = "russell-2000-downside";

  private static String form(Rule rule) {
    if (rule.getSeries() != null) return rule.getSeries();
    boolean isAll = rule.getAll() != null && !rule.getAll().isEmpty();
    return isAll ? "all " + rule.getAll().size() : "any " + rule.getAny().size();
  }

  private static RevisionInput revision(double base, String rationale) {
    ProbabilitiesInput probabilities =
        new ProbabilitiesInput()
            .bear(0.35)
            .base(base)
            .bull(0.25);
    return new RevisionInput().probabilities(probabilities).rationale(rationale);
  }

  public static void main(String[] arguments) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(System.getenv("BASE_URL"));
    client.setRequestInterceptor(
        request -> request.header("Authorization", "Bearer " + System.getenv("KEY")));
    OutlooksApi outlooks = new OutlooksApi(client);
    VersionsApi versions = new VersionsApi(client);
    RevisionsApi revisions = new RevisionsApi(client);
    Outlook outlook = outlooks.getOutlook(SLUG, null, null, null, null, null);
    Map<String, String> rules = new LinkedHashMap<>();
    outlook
        .getInvalidationConditions()
        .forEach(
            condition -> {
              if (condition.getRule() != null) rules.put(condition.getKey(), form(condition.getRule()));
            });
    Outlook revised = revisions.reviseOutlook(SLUG, revision(0.4, "Yields rose."), null, null);
    Problem problem;
    try {
      revisions.reviseOutlook(SLUG, revision(0.45, "Too much."), null, null);
      throw new AssertionError("the sum was accepted");
    } catch (ApiException refused) {
      problem = client.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
    }
    Map<String, Object> read = new LinkedHashMap<>();
    read.put("rules", rules);
    read.put("version", revised.getVersion());
    read.put("history", versions.getProbabilities(SLUG, null, null, null, null, null).getPoints().size());
    read.put("moved", versions.getDiff(SLUG, 2, null, null, null).getProbabilities().getDeltas().getBear());
    read.put(
        "evidence",
        new EvidenceApi(client)
            .listEvidence(SLUG, null, null, null, null, null)
            .getItems()
            .get(0)
            .getClaims()
            .get(0)
            .getTarget()
            .getKind());
    read.put("listed", versions.listVersions(SLUG, null, null, null, null, null).getItems().size());
    read.put("problem", problem.getType());
    read.put("excess", problem.getExcess());
    System.out.println(client.getObjectMapper().writeValueAsString(read));
  }
}
