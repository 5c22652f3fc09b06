//! What unit tests share.

use countersign_protos::{Chain, LinkKeys};
use serde_json::Value;

use crate::{
    approval::{Due, EmailAddress, Invited, SubmitterLink, Whom},
    leaves::Leaves,
    policy::{Plan, schedule},
    recorded::{Issue, Issued, Sealed},
};

/// `ann` for `ann@example.com`.
pub(crate) fn address(name: &str) -> EmailAddress {
    format!("{name}@example.com").parse().expect("an address")
}

/// Not those of any approval.
pub(crate) fn keys() -> LinkKeys {
    countersign_protos::TEST_KEYS[0].parse().expect("a key")
}

/// As `validate_submission` records it.
pub(crate) fn sealed(plan: &Plan, chain: Chain<'_>) -> Sealed<Plan> {
    Sealed::new(plan, chain, keys().first()).expect("JSON")
}

/// What `issue_links` returns where nobody is away.
pub(crate) fn issued(issue: &Issue, links: &[&str]) -> Issued {
    let plan = issue.plan.unverified().expect("a plan");
    let calendar = plan.calendar.clone().unwrap_or_default();
    let (reviewers, time) = match &issue.to_ask.whom {
        Whom::Replacement(_, to) | Whom::Reissue { reviewer: to, .. } => {
            (std::slice::from_ref(to), None)
        }
        Whom::Submitter => return issued_to_submitter(issue, &plan),
        Whom::Level(level) => {
            let stage = &plan.stages[issue.to_ask.stage];
            let (reviewers, time) = stage.level(*level).expect("a level");
            (reviewers, Some(time))
        }
    };
    let invite = |(reviewer, link): (&EmailAddress, &&str)| {
        Invited::new(reviewer.clone(), (*link).to_owned())
    };
    Issued {
        opened_at: issue.opened_at,
        invited: reviewers.iter().zip(links).map(invite).collect(),
        due: time.map(|time| schedule(time, &calendar, issue.opened_at)),
        submitter: at_start(issue, &plan),
    }
}

/// The submitter's link, where they have one from the start.
fn at_start(issue: &Issue, plan: &Plan) -> Option<SubmitterLink> {
    let chain = Chain { workflow_id: "laptops", first_run_id: &issue.first_run_id };
    Leaves { chain, plan, key: keys().first() }.submitter(&issue.to_ask)
}

/// What `issue_links` returns for changes that were requested.
fn issued_to_submitter(issue: &Issue, plan: &Plan) -> Issued {
    let chain = Chain { workflow_id: "laptops", first_run_id: &issue.first_run_id };
    let (keys, calendar) = (keys(), plan.calendar.clone().unwrap_or_default());
    let submitter = Leaves { chain, plan, key: keys.first() }.submitter(&issue.to_ask);
    let deadline = plan.changes_within.after(issue.opened_at, &calendar);
    let due = Some(Due { deadline, reminders: Vec::new() });
    Issued { opened_at: issue.opened_at, invited: Vec::new(), due, submitter }
}

/// A schema of `docs/schemas`.
pub(crate) fn docs_schema(name: &str) -> Value {
    let path = format!("{}/../docs/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).expect("a schema")).expect("JSON")
}

/// A schema that also refuses whatever it does not name.
pub(crate) fn strict(mut schema: Value) -> Value {
    fn close(schema: &mut Value) {
        if let Some(object) = schema.as_object_mut() {
            if object.contains_key("properties") {
                object.insert("additionalProperties".into(), Value::Bool(false));
            }
            object.values_mut().for_each(close);
        }
    }
    close(&mut schema);
    schema
}

/// Whether a value follows a JSON Schema.
pub(crate) fn is_valid(schema: &Value, value: &Value) -> bool {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("schema.json", schema.clone()).expect("a schema");
    let index = compiler.compile("schema.json", &mut schemas).expect("a schema");
    let validated = schemas.validate(value, index);
    validated.inspect_err(|error| eprintln!("{error:#}\n{value:#}")).is_ok()
}
