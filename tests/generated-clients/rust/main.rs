//! Uses the client that openapi-generator makes for Rust, and prints what it read.
use openapi::apis::configuration::Configuration;
use openapi::apis::{evidence_api, outlooks_api, revisions_api, versions_api, Error};
use openapi::models::{Outlook, ProbabilitiesInput, Problem, RevisionInput, Rule};

const SLUG: &str = "russell-2000-downside";

fn form(rule: &Rule) -> String {
    match (&rule.series, &rule.all, &rule.any) {
        (Some(series), _, _) => series.clone(),
        (_, Some(all), _) => format!("all {}", all.len()),
        (_, _, Some(any)) => format!("any {}", any.len()),
        _ => "nothing".to_string(),
    }
}

async fn revise(
    settings: &Configuration,
    base: f64,
    rationale: &str,
) -> Result<Outlook, Error<revisions_api::ReviseOutlookError>> {
    let mut body = RevisionInput::new(rationale.to_string());
    body.probabilities = Some(Box::new(ProbabilitiesInput::new(0.35, base, 0.25)));
    revisions_api::revise_outlook(settings, SLUG, body, None, None).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut settings = Configuration::new();
    settings.base_path = std::env::var("BASE_URL").unwrap();
    settings.bearer_access_token = Some(std::env::var("KEY").unwrap());
    let outlook = outlooks_api::get_outlook(&settings, SLUG, None, None, None, None, None)
        .await
        .unwrap();
    let rules: serde_json::Map<String, serde_json::Value> = outlook
        .invalidation_conditions
        .iter()
        .filter_map(|condition| Some((condition.key.clone(), form(condition.rule.as_ref()?).into())))
        .collect();
    let revised = revise(&settings, 0.4, "Yields rose.").await.unwrap();
    let problem = match revise(&settings, 0.45, "Too much.").await {
        // The error's `entity` is the first variant that fits, whatever the status is; the text is the problem.
        Err(Error::ResponseError(refused)) if refused.status == 422 => {
            serde_json::from_str::<Problem>(&refused.content).unwrap()
        }
        other => panic!("{other:?}"),
    };
    let history = versions_api::get_probabilities(&settings, SLUG, None, None, None, None, None)
        .await
        .unwrap();
    let diff = versions_api::get_diff(&settings, SLUG, 2, None, None, None).await.unwrap();
    let evidence = evidence_api::list_evidence(&settings, SLUG, None, None, None, None, None)
        .await
        .unwrap();
    let listed = versions_api::list_versions(&settings, SLUG, None, None, None, None, None)
        .await
        .unwrap();
    println!(
        "{}",
        serde_json::json!({
            "rules": rules,
            "listed": listed.items.len(),
            "version": revised.version,
            "history": history.points.len(),
            "moved": diff.probabilities.deltas.bear,
            "evidence": evidence.items[0].claims[0].target.kind,
            "problem": problem.r#type,
            "excess": problem.excess,
        })
    );
}
