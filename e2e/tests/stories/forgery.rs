//! What somebody can do who has the whole namespace, but neither the link keys nor anybody's mail: they
//! answer workflow tasks, activities and queries, and none of it is shown, told or returned as a decision.
//!
//! Other stories hold more of their attacks. In `callers`: activities that others have run. In `claims`: links
//! that others claim by a search attribute. In `starts`: cron schedules, retry policies and forged states
//! that a first run claims to go on from. In `policies`: submissions that choose who approves them.

use countersign_e2e::{
    Answer, End, Grpc, Mail, Marker, Page, Receiver, Rogue, Stack, Temporal, Workflow,
    complete_workflow, continue_as_approval, eventually, json_payload, link_key, list,
    schedule_activity, submission, text, verified,
};
use countersign_protos::{
    Chain, Claims, GenuineLink, LinkContext, LinkKeys, Verdict, names, v1::Decision,
};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    command::v1::Command,
    common::v1::{Payload, WorkflowType},
    history::v1::{HistoryEvent, history_event::Attributes},
};

use crate::callers::scheduled;

const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];
const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const SAM: &str = "sam@example.com";
const MALLORY: &str = "mallory@example.com";
const TITLE: &str = "Train to the fair";

/// Small amounts need nobody, nor do very large ones; about others, Ann is asked.
const RULES: &str = r#"
[[rules]]
name = "Small expenses"
when.amount = { USD = { up_to = 20 } }
decision = "approve"

[[rules]]
name = "Too much"
when.amount = { USD = { above = 9_000 } }
decision = "reject"

[default]
name = "Everything else"

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
"#;

/// Starts a stack with these rules, which delivers its outcomes to the receiver.
async fn start_stack(receiver: &Receiver) -> Stack {
    Stack::beside(Temporal::shared().await)
        .with_rules(RULES)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await
}

/// Another expense than [`submission::routed`] gives.
fn coffee(amount: &str) -> Value {
    let mut coffee = submission::routed(amount);
    coffee["submissionId"] = "coffee".into();
    coffee["document"]["title"] = "Team coffee".into();
    coffee
}

/// An approval that waits for Ann, and her link.
async fn asked(stack: &Stack, submission: &Value) -> (Workflow, String) {
    let workflow = stack.submit(submission).await;
    workflow.until_asked().await;
    let mut mails = stack.mails_so_far(ANN);
    mails.retain(Mail::has_links);
    let link = mails.pop().expect("a request").link("approve");
    assert!(link.contains(&workflow.id), "a link names its workflow: {link}");
    (workflow, link)
}

/// The claims of a signed outcome, which the published keys have to verify.
async fn claims(stack: &Stack, outcome: &Value) -> Value {
    let jwks = stack.open(&stack.url("/.well-known/jwks.json")).await;
    assert_eq!(jwks.status, 200, "{}", jwks.body);
    let jwks = serde_json::from_str(&jwks.body).expect("JSON");
    let claims = verified(&jwks, &text(&outcome["jws"])).await.expect("a good signature");
    for same in ["submissionId", "status", "basis", "digest", "executionKey"] {
        assert_eq!(claims[same], outcome[same], "{same}: {claims}");
    }
    claims
}

/// What was delivered to the receiver about a workflow, all of which has to be signed.
async fn delivered(receiver: &Receiver, workflow: &Workflow) -> Vec<Value> {
    let mut delivered = Vec::new();
    for delivery in receiver.deliveries_so_far() {
        let data = delivery.json()["data"].take();
        if data["workflowId"] == workflow.id {
            assert!(delivery.is_verified_by_the_standard_library(SECRET).await, "{data}");
            delivered.push(data);
        }
    }
    delivered
}

/// The plan in a marker of `validate_submission`.
fn plan(marker: &Marker) -> Value {
    let json = text(&marker.result()["plan"]["json"]);
    serde_json::from_str(&json).expect("a plan")
}

/// The sealed plan of a marker with another plan in it.
fn forged_plan(marker: &Marker, change: impl FnOnce(&mut Value)) -> Value {
    let (mut plan, mut result) = (plan(marker), marker.result());
    change(&mut plan);
    result["plan"]["json"] = plan.to_string().into();
    result
}

/// What the first workflow task of an approval has recorded: its plan and its first seats.
pub(crate) async fn recorded(grpc: &Grpc, workflow: &Workflow) -> [Marker; 2] {
    let events = grpc.events(&workflow.id).await;
    [names::ACTIVITY_VALIDATE, names::ACTIVITY_ISSUE_LINKS]
        .map(|activity| Marker::of(&events, activity))
}

/// Resets an approval to its first workflow task, and answers that as a rogue while no worker runs.
async fn begin_with(stack: &mut Stack, grpc: &Grpc, workflow: &Workflow, markers: Vec<Marker>) {
    stack.stop_worker().await;
    let how = ["--type", "FirstWorkflowTask", "--reason", "forgery"];
    let reset = ["workflow", "reset", "--workflow-id", &workflow.id];
    stack.temporal.must([&reset[..], &how].concat()).await;
    let rogue = grpc.rogue(&stack.queue);
    let task = rogue.workflow_task().await;
    let commands = markers.into_iter().map(Marker::record).collect();
    rogue.answer_in_part(task, commands).await;
}

/// Answers an approval's next workflow task as a rogue while no worker runs.
async fn answer_next(stack: &mut Stack, grpc: &Grpc, workflow: &Workflow, commands: Vec<Command>) {
    stack.stop_worker().await;
    grpc.signal(&workflow.id, "remind", Vec::new()).await;
    let rogue = grpc.rogue(&stack.queue);
    let task = rogue.workflow_task().await;
    rogue.answer(task, commands).await;
    stack.start_worker();
}

/// A link as the real ones are, with a key of one's own.
fn link_of_mallory(chain: Chain<'_>, digest: &str, reviewer: &str) -> GenuineLink {
    let keys: LinkKeys = link_key().parse().expect("a key");
    keys.first().link(LinkContext::new(chain, digest, reviewer))
}

/// The payload of a press on Approve.
fn pressed(link: &GenuineLink) -> Value {
    let at = "2026-11-30T10:00:00Z".parse().expect("a time");
    let (hash, proof) = (link.hash().as_str().to_owned(), link.sign(Verdict::Approve, "", at));
    let decision = Decision { link: hash, proof: Some(proof), ..Decision::default() };
    serde_json::to_value(decision).expect("JSON")
}

/// Whether a page says that something was approved. An operator's vote does not count: whoever may answer
/// for the worker may also send one.
fn says_approved(page: &Page) -> bool {
    let text = page.text().to_lowercase();
    text.matches("approved").count() > text.matches("recorded by an operator").count()
}

/// Waits until the workflow fails because of a forgery; nobody is told that it was approved.
async fn fails_as_forged(
    stack: &mut Stack,
    receiver: &Receiver,
    workflow: &Workflow,
    link: &str,
    what: &str,
) {
    let end = workflow.end().await;
    assert!(matches!(end, End::Failed { .. } | End::Other(_)), "{what}: {end:?}");
    let history = workflow.history().await;
    assert!(history.0.contains("NotGenuine"), "{what}: {}", history.outline());
    assert_eq!(delivered(receiver, workflow).await, Vec::<Value>::new(), "{what}");
    let outcomes = stack.mails_so_far(SAM);
    let about = outcomes.iter().find(|mail| mail.subject.contains(TITLE));
    assert!(about.is_none(), "{what}: {about:?}");
    assert!(stack.mails_so_far(MALLORY).is_empty(), "{what}: Mallory is asked");
    let page = stack.open(link).await;
    assert!(!says_approved(&page), "{what}: {}", page.text());
    stack.stop_worker().await;
    let page = stack.open(link).await;
    assert!(!says_approved(&page), "{what}, without a worker: {}", page.text());
    stack.start_worker();
}

#[tokio::test]
async fn a_forged_plan_approves_nothing_and_asks_nobody() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let coffee = stack.submit(&coffee("5.13")).await;
    assert_eq!(coffee.outcome().await["status"], "APPROVED");
    let by_rule = Marker::of(&grpc.events(&coffee.id).await, names::ACTIVITY_VALIDATE);
    let decision = plan(&by_rule)["rule_decision"].clone();
    assert!(decision.is_string(), "{}", plan(&by_rule));

    type Forge<'a> = &'a dyn Fn(&Marker) -> Value;
    let forgeries: [(&str, Forge<'_>); 3] = [
        ("the plan of another approval", &|_| by_rule.result()),
        ("a plan by which a rule approves", &|own| {
            forged_plan(own, |plan| plan["rule_decision"] = decision.clone())
        }),
        ("a plan with another reviewer", &|own| {
            forged_plan(own, |plan| plan["stages"][0]["reviewers"] = json!([MALLORY]))
        }),
    ];
    for (what, forge) in forgeries {
        let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
        let [own, _] = recorded(&grpc, &workflow).await;
        let forged = forge(&own);
        begin_with(&mut stack, &grpc, &workflow, vec![own.with(&forged)]).await;
        stack.start_worker();
        fails_as_forged(&mut stack, &receiver, &workflow, &link, what).await;
    }
    assert_eq!(stack.mails_so_far(SAM).len(), 1, "of the coffee alone");
}

#[tokio::test]
async fn a_forged_seat_has_no_vote() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    for reviewer in [MALLORY, ANN] {
        let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
        let [plan_marker, seats] = recorded(&grpc, &workflow).await;
        let first_run_id = grpc.run(&workflow.id).await;
        let chain = Chain { workflow_id: &workflow.id, first_run_id: &first_run_id };
        let own = link_of_mallory(chain, &text(&plan(&plan_marker)["digest"]), reviewer);
        let mut issued = seats.result();
        let seat = &mut issued["invited"][0];
        assert!(seat["key"].is_string(), "{seat}");
        seat["reviewer"] = reviewer.into();
        seat["link"] = own.hash().as_str().into();
        seat["key"] = own.public_key().into();
        let markers = vec![plan_marker, seats.with(&issued)];
        begin_with(&mut stack, &grpc, &workflow, markers).await;
        grpc.signal(&workflow.id, "approve", vec![json_payload(&pressed(&own))]).await;
        stack.start_worker();
        let what = format!("a seat of {reviewer}");
        fails_as_forged(&mut stack, &receiver, &workflow, &link, &what).await;
    }
}

/// What a genuine approval had done is asked for again in another one's name, and with another document.
#[tokio::test]
async fn a_rogue_within_an_approval_has_nothing_forged_mailed_or_signed() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (coffee, link) = asked(&stack, &coffee("125.50")).await;
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    coffee.outcome().await;
    let (workflow, _) = asked(&stack, &submission::routed("125.50")).await;
    let (first_run, other_run) = (grpc.run(&workflow.id).await, grpc.run(&coffee.id).await);
    let (mails, deliveries) = (stack.outbox_size(), receiver.deliveries_so_far().len());

    let mut forged = scheduled(&grpc.events(&coffee.id).await);
    assert_eq!(forged.len(), 3, "a request, a webhook and an announcement");
    forged.extend(scheduled(&grpc.events(&workflow.id).await));
    let changes = [(&*other_run, &*first_run), (TITLE, "Ten cars")];
    let commands = forged.iter().enumerate().map(|(number, (activity, input))| {
        let mut altered = String::from_utf8(input.data.clone()).expect("JSON");
        for (from, to) in changes {
            altered = altered.replace(from, to);
        }
        assert_ne!(altered.as_bytes(), input.data, "{activity}");
        let input = Payload { data: altered.into_bytes(), ..input.clone() };
        let queue = match activity.as_str() {
            "process_decision" => format!("{}-webhook", stack.queue),
            _ => stack.queue.clone(),
        };
        schedule_activity(&queue, &format!("forged-{number}"), activity, vec![input])
    });
    let commands = commands.collect();
    answer_next(&mut stack, &grpc, &workflow, commands).await;
    for (number, (activity, _)) in forged.iter().enumerate() {
        let refused = grpc.end_of_activity(&workflow.id, &format!("forged-{number}")).await;
        let refused = refused.unwrap_or_else(|| panic!("{activity} acts on what is forged"));
        assert!(refused.contains("it was not recorded for this approval"), "{activity}: {refused}");
    }
    assert_eq!(stack.outbox_size(), mails, "no mail");
    assert_eq!(receiver.deliveries_so_far().len(), deliveries, "no webhook");
}

#[tokio::test]
async fn whoever_completes_the_webhooks_activity_changes_no_outcome() {
    let receiver = Receiver::that_answers([Answer::Says(503, None, "")]).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let forged = json!({"status": "APPROVED", "submissionId": "exp-2026-0042", "jws": "a.b.c"});
    let results =
        [vec![json_payload(&json!("204 No Content"))], vec![json_payload(&forged)], vec![]];
    for result in results {
        let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
        stack.press(&link, "reject", "").await.expect(200, &["rejected"]);
        workflow.pending_attempt(2).await;
        stack.stop_worker().await;
        let rogue = grpc.rogue(&format!("{}-webhook", stack.queue));
        let task = rogue.activity_task("process_decision").await;
        rogue.complete(task, result.clone()).await;
        stack.start_worker();
        let mut outcome = workflow.outcome().await;
        assert_eq!(outcome["status"], "REJECTED", "{result:?}: {outcome}");
        assert_eq!(claims(&stack, &outcome).await["workflowId"], workflow.id);
        outcome["workflowId"] = workflow.id.clone().into();
        // What became of the delivery is the rogue's word, and says no more than that.
        outcome.as_object_mut().expect("an object").remove("webhookError");
        for data in delivered(&receiver, &workflow).await {
            assert_eq!(data, outcome, "{result:?}");
        }
        stack.open(&link).await.expect(200, &["rejected"]);
    }
}

#[tokio::test]
async fn no_page_believes_a_forged_answer_or_a_forged_result() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (coffee, link) = asked(&stack, &coffee("125.50")).await;
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    let genuine = coffee.outcome().await;
    let genuine_state = coffee.status().await;
    let keys: LinkKeys = link_key().parse().expect("a key");

    for signed_by in ["nobody", "us, for another approval", "Mallory"] {
        let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
        let open = workflow.status().await;
        let jws = match signed_by {
            "nobody" => String::new(),
            "Mallory" => {
                let claims = serde_json::from_value(claims(&stack, &genuine).await);
                keys.first().sign(&Claims {
                    workflow_id: workflow.id.clone(),
                    first_run_id: grpc.run(&workflow.id).await,
                    submission_id: text(&open["submission"]["submissionId"]),
                    digest: text(&open["digest"]),
                    action_digest: String::new(),
                    ..claims.expect("claims")
                })
            }
            _ => text(&genuine["jws"]),
        };
        // All that says "approved" is the coffee's, and the rest is the approval's own.
        let mut state = genuine_state.clone();
        for own in ["submission", "digest"] {
            state[own] = open[own].clone();
        }
        state["jws"] = jws.clone().into();
        let seat = &mut state["stages"][0]["reviewers"][0];
        seat["link"] = open["stages"][0]["reviewers"][0]["link"].clone();
        let mut result = genuine.clone();
        result["digest"] = open["digest"].clone();
        result["submissionId"] = open["submission"]["submissionId"].clone();
        result["jws"] = jws.into();

        stack.stop_worker().await;
        let rogue = grpc.rogue(&stack.queue);
        let answers = rogue.answer_queries(&state);
        eventually("the rogue to be asked", async || {
            let page = stack.open(&link).await;
            assert!(!says_approved(&page), "signed by {signed_by}: {}", page.text());
            page.says("Recorded; the outcome is being sealed").then_some(())
        })
        .await;
        answers.abort();
        let _ = answers.await;

        grpc.signal(&workflow.id, "remind", Vec::new()).await;
        let task = rogue.workflow_task().await;
        rogue.answer(task, vec![complete_workflow(&result)]).await;
        assert_eq!(workflow.outcome().await["status"], "APPROVED", "anybody can write that");
        let page = stack.open(&link).await;
        page.expect(410, &["cannot be confirmed", "exp-2026-0042"]);
        assert!(!says_approved(&page), "signed by {signed_by}: {}", page.text());
        stack.start_worker();
        // The worker is there.
        asked(&stack, &submission::routed("125.50")).await;
        let page = stack.open(&link).await;
        assert!(!says_approved(&page), "signed by {signed_by}: {}", page.text());
        stack.renew_signaler().await;
        let page = stack.open(&link).await;
        assert!(!says_approved(&page), "signed by {signed_by}: {}", page.text());
    }
}

#[tokio::test]
async fn a_forged_conclusion_is_told_to_nobody() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let coffee = stack.submit(&coffee("5.13")).await;
    assert_eq!(coffee.outcome().await["status"], "APPROVED");
    let of_another = Marker::of(&grpc.events(&coffee.id).await, names::ACTIVITY_CONCLUDE).result();
    let workflow = stack.submit(&submission::routed("9500.00")).await;
    assert_eq!(workflow.outcome().await["status"], "REJECTED");
    let events = grpc.events(&workflow.id).await;
    let [plan, own] = [names::ACTIVITY_VALIDATE, names::ACTIVITY_CONCLUDE]
        .map(|activity| Marker::of(&events, activity));
    let mut changed = own.result();
    let json = text(&changed["outcome"]["json"]);
    let approved = json.replace("REJECTED", "APPROVED");
    assert_ne!(approved, json);
    changed["outcome"]["json"] = approved.into();
    for (what, forged) in [("another approval's", of_another), ("a changed one", changed)] {
        let markers = vec![plan.clone(), own.clone().with(&forged)];
        begin_with(&mut stack, &grpc, &workflow, markers).await;
        stack.start_worker();
        let result = workflow.outcome().await;
        assert_eq!(result["status"], "APPROVED", "{what}: anybody can write that");
        let history = workflow.history().await;
        assert!(history.0.contains("NotGenuine"), "{what}: {}", history.outline());
        for delivered in delivered(&receiver, &workflow).await {
            assert_eq!(delivered["status"], "REJECTED", "{what}: {delivered}");
        }
        let mut mails = stack.mails_so_far(SAM);
        mails.retain(|mail| mail.subject.contains(TITLE));
        assert!(mails.iter().all(|mail| mail.subject.contains("Rejected")), "{what}: {mails:?}");
        let jwks = stack.open(&stack.url("/.well-known/jwks.json")).await.body;
        let jwks = serde_json::from_str(&jwks).expect("JSON");
        if let Some(claims) = verified(&jwks, &text(&result["jws"])).await {
            let (of, status) = (&claims["workflowId"], &claims["status"]);
            assert!(*of != workflow.id || status == "REJECTED", "{what}: {claims}");
        }
    }
}

/// The outcome that a marker of `conclude` has, which a worker has sealed and signed.
fn concluded(events: &[HistoryEvent]) -> Value {
    let concluded = Marker::of(events, names::ACTIVITY_CONCLUDE).result();
    let json = text(&concluded["outcome"]["json"]);
    let mut outcome: Value = serde_json::from_str(&json).expect("an outcome");
    outcome["jws"] = concluded["jws"].clone();
    outcome
}

#[tokio::test]
async fn no_page_takes_a_stage_for_decided_in_which_nobody_has_voted() {
    let mut stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let stage = |reviewer: &str| json!({"reviewers": [reviewer]});
    let stages = json!({"stages": [stage(ANN), stage("bob@example.com")]});
    let (workflow, link) = asked(&stack, &submission::asking(stages)).await;
    let mut state = workflow.status().await;
    let stage = &mut state["stages"][0];
    stage["closedAt"] = stage["openedAt"].clone();
    for verdict in ["APPROVED", "REJECTED"] {
        state["stages"][0]["status"] = verdict.into();
        stack.stop_worker().await;
        let answers = grpc.rogue(&stack.queue).answer_queries(&state);
        eventually("the rogue to be asked", async || {
            let page = stack.open(&link).await;
            assert!(!page.says(verdict), "{}", page.text());
            page.says("Stage over").then_some(())
        })
        .await;
        answers.abort();
        let _ = answers.await;
        stack.start_worker();
    }
}

#[tokio::test]
async fn no_page_tells_of_an_operator_who_has_signalled_nothing() {
    let mut stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let both = json!({"stages": [{"reviewers": [ANN, "bob@example.com"], "quorum": "all"}]});
    let (workflow, link) = asked(&stack, &submission::asking(both)).await;
    let mut state = workflow.status().await;
    let bob = &mut state["stages"][0]["reviewers"][1];
    bob["vote"] = json!({
        "reviewer": "bob@example.com", "verdict": "APPROVE", "comment": "on the phone",
        "link": bob["link"], "by": "operator", "identity": "op@desk",
    });
    state["stages"][0]["name"] = "Mallory".into();
    let tells = |page: &Page| page.says("on the phone") || page.says("recorded by an operator");
    stack.stop_worker().await;
    let answers = grpc.rogue(&stack.queue).answer_queries(&state);
    eventually("the rogue to be asked", async || {
        let page = stack.open(&link).await;
        assert!(!tells(&page), "{}", page.text());
        page.says("Mallory").then_some(())
    })
    .await;
    answers.abort();
    let _ = answers.await;
    stack.start_worker();
    let decision = json!({"reviewer": "Bob+x@Example.com", "comment": "on the phone"});
    workflow.signal("approve", &decision).await;
    let voted = |status: &Value| status["stages"][0]["reviewers"][1]["vote"].is_object();
    workflow.status_where("Bob's vote", voted).await;
    stack.open(&link).await.expect(200, &["on the phone", "recorded by an operator"]);
}

/// The status of this result is signed, and nothing else in it.
#[tokio::test]
async fn a_forged_result_makes_nobodys_vote() {
    let receiver = Receiver::that_answers([Answer::Says(503, None, "")]).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
    workflow.signal("approve", &json!({"reviewer": ANN})).await;
    workflow.pending_attempt(2).await;
    let mut result = concluded(&grpc.events(&workflow.id).await);
    let vote = &mut result["stages"][0]["decisions"][0];
    assert_eq!(vote["by"], "operator", "{vote}");
    vote["by"] = "link".into();
    vote["proof"] = json!({"signature": "AAAA", "at": vote["decidedAt"]});
    vote["comment"] = "I have checked every line".into();
    stack.stop_worker().await;
    grpc.signal(&workflow.id, "remind", Vec::new()).await;
    let rogue = grpc.rogue(&stack.queue);
    let task = rogue.workflow_task().await;
    rogue.answer(task, vec![complete_workflow(&result)]).await;
    assert_eq!(workflow.outcome().await["stages"][0]["decisions"][0]["by"], "link");
    let page = stack.open(&link).await;
    page.expect(200, &["approved"]);
    assert!(!page.says("I have checked every line"), "nobody has said that: {}", page.text());
}

/// What proves an outcome, or is meant to.
fn evidence(chain: Chain<'_>, plan: &Value, journal: Value) -> Value {
    json!({
        "plan": plan, "firstRunId": chain.first_run_id,
        "began": "2026-11-30T10:00:00Z", "journal": journal,
    })
}

/// A state as a run leaves it to the next one.
pub(crate) fn continued(chain: Chain<'_>, plan: &Value, journal: Value) -> Payload {
    let open = json!({
        "evidence": evidence(chain, plan, journal), "workflowId": chain.workflow_id, "encoding": "JsonPlain",
        "deliveries": {}, "notices": {},
    });
    let mut state = submission::routed("125.50");
    state["case"] = json!({"inbox": {}, "open": open});
    let mut payload = json_payload(&state);
    payload.metadata.insert("messageType".to_owned(), b"countersign.Continued".to_vec());
    payload
}

/// Everybody of a stage was asked, and has approved.
pub(crate) fn approved_by(issued: &Value, proof: &Value) -> Value {
    let at = "2026-11-30T10:00:01Z";
    let asked = json!({"asked": {"invited": issued["invited"], "due": issued["due"], "at": at}});
    let vote = |seat: &Value| {
        let mut ballot = json!({
            "claim": {"Link": seat["link"]}, "verdict": "Approve", "comment": "",
            "identity": "countersign-signaler",
        });
        if !proof.is_null() {
            ballot["proof"] = proof.clone();
        }
        json!({"voted": {"ballot": ballot, "at": at}})
    };
    let votes = list(&issued["invited"]).map(vote);
    std::iter::once(asked).chain(votes).collect()
}

/// A workflow of another type may continue as an approval, with any input.
#[tokio::test]
async fn a_foreign_workflow_that_goes_on_as_an_approval_is_none() {
    let receiver = Receiver::refusing(0).await;
    let stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let coffee = stack.submit(&coffee("5.13")).await;
    coffee.outcome().await;
    let by_rule = Marker::of(&grpc.events(&coffee.id).await, names::ACTIVITY_VALIDATE);
    let decision = plan(&by_rule)["rule_decision"].clone();
    let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
    let [own, seats] = recorded(&grpc, &workflow).await;
    let run = grpc.run(&workflow.id).await;
    let genuine = Chain { workflow_id: &workflow.id, first_run_id: &run };
    let (sealed, issued, digest) =
        (own.result()["plan"].take(), seats.result(), text(&plan(&own)["digest"]));
    let by_rule = forged_plan(&own, |plan| plan["rule_decision"] = decision)["plan"].take();
    let mallory = json!([MALLORY]);
    let by_mallory =
        forged_plan(&own, |plan| plan["stages"][0]["reviewers"] = mallory)["plan"].take();
    let votes = approved_by(&issued, &Value::Null);

    type Forge<'a> = &'a dyn Fn(Chain<'_>) -> Payload;
    let forgeries: [(&str, Forge<'_>, &str); 4] = [
        (
            "the state of another approval",
            &|_| continued(genuine, &sealed, votes.clone()),
            "that of another approval",
        ),
        (
            "another approval's plan, with votes",
            &|chain| continued(chain, &sealed, votes.clone()),
            "NotGenuine",
        ),
        (
            "a plan by which a rule approves",
            &|chain| continued(chain, &by_rule, json!([])),
            "NotGenuine",
        ),
        (
            "a plan and votes of Mallory's",
            &|chain| {
                let own = link_of_mallory(chain, &digest, MALLORY);
                let mut issued = issued.clone();
                let seat = &mut issued["invited"][0];
                seat["reviewer"] = MALLORY.into();
                seat["link"] = own.hash().as_str().into();
                seat["key"] = own.public_key().into();
                let votes = approved_by(&issued, &pressed(&own)["proof"]);
                continued(chain, &by_mallory, votes)
            },
            "NotGenuine",
        ),
    ];
    for (what, forge, why) in forgeries {
        let foreign = stack.temporal.workflow(&stack.new_workflow_id());
        let kind = Some(WorkflowType { name: "Rogue".to_owned() });
        grpc.start_with(&foreign.id, &foreign.id, Vec::new(), |start| start.workflow_type = kind)
            .await;
        let run = grpc.run(&foreign.id).await;
        let state = forge(Chain { workflow_id: &foreign.id, first_run_id: &run });
        let rogue = grpc.rogue(&foreign.id);
        let task = rogue.workflow_task().await;
        rogue.answer(task, vec![continue_as_approval(&stack.queue, state)]).await;
        let end = foreign.end().await;
        assert!(matches!(end, End::Failed { .. }), "{what}: {end:?}");
        let history = foreign.history().await;
        assert!(history.0.contains(why), "{what}: {}", history.0);
        assert_eq!(delivered(&receiver, &foreign).await, Vec::<Value>::new(), "{what}");
        // Ann's link stays that of her approval, whatever it says.
        let id = link.split('/').nth(4).expect("an approval ID");
        for path in [format!("/a/{id}/{}", foreign.id), format!("/a/{id}")] {
            stack.open(&stack.url(&path)).await.expect(200, &["Your decision is needed", TITLE]);
        }
    }
    assert_eq!(stack.mails_so_far(SAM).len(), 1, "of the coffee alone");
    assert!(stack.mails_so_far(MALLORY).is_empty(), "Mallory is asked");
}

/// The identity and the proof of a press, as a history has them.
async fn press_in_history(grpc: &Grpc, workflow: &Workflow) -> (String, Value) {
    let events = grpc.events(&workflow.id).await;
    let signal = events.into_iter().find_map(|event| match event.attributes? {
        Attributes::WorkflowExecutionSignaledEventAttributes(signal) => Some(signal),
        _ => None,
    });
    let signal = signal.expect("a signal");
    let input = signal.input.and_then(|mut input| input.payloads.pop()).expect("an input");
    let decision: Value = serde_json::from_slice(&input.data).expect("JSON");
    (signal.identity, decision["proof"].clone())
}

/// How the only vote of an outcome came.
fn vote(outcome: &Value) -> (String, String, bool) {
    let vote = &outcome["stages"][0]["decisions"][0];
    (text(&vote["by"]), text(&vote["identity"]), outcome["operator"] == true)
}

#[tokio::test]
async fn a_vote_by_hand_is_an_operators_for_everybody_who_reads_of_it() {
    let receiver = Receiver::refusing(0).await;
    let stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (coffee, link) = asked(&stack, &coffee("125.50")).await;
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    coffee.outcome().await;
    let (identity, proof) = press_in_history(&grpc, &coffee).await;
    assert!(identity.contains("signaler") && proof["signature"].is_string(), "{identity} {proof}");

    for how in ["by address", "by hash", "with another vote's proof"] {
        let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
        let hash = workflow.newest_link().await;
        let decision = match how {
            "by address" => json!({"reviewer": ANN}),
            "by hash" => json!({"link": hash}),
            _ => json!({"link": hash, "proof": proof}),
        };
        let requests = stack.mails_so_far(ANN).len();
        let input = ["--identity", &identity, "--input", &decision.to_string()];
        workflow.signal_with("approve", &input).await;
        let mut outcome = workflow.outcome().await;
        let by_operator = ("operator".to_owned(), identity.clone(), true);
        assert_eq!(vote(&outcome), by_operator, "{how}: {outcome}");
        let claims = claims(&stack, &outcome).await;
        assert_eq!((&claims["status"], &claims["operator"]), (&json!("APPROVED"), &json!(true)));
        let status = workflow.status().await;
        let shown = &status["stages"][0]["reviewers"][0]["vote"];
        assert_eq!(
            (text(&shown["by"]), text(&shown["identity"])),
            ("operator".into(), identity.clone())
        );
        outcome["workflowId"] = workflow.id.clone().into();
        assert_eq!(delivered(&receiver, &workflow).await, [outcome], "{how}");
        let said = format!("recorded by an operator ({identity})");
        stack.open(&link).await.expect(200, &["approved", &said]);
        let mail = stack.mails_to(ANN, requests + 1).await.swap_remove(requests);
        let said = format!("An operator ({identity}) recorded an approval for you in ");
        assert!(mail.text.starts_with(&said), "{}", mail.text);
    }
}

#[tokio::test]
async fn a_press_is_the_reviewers_own_decision() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
    let page = stack.press(&link, "approve", "fine").await;
    page.expect(200, &["approved"]);
    assert!(!page.says("operator"), "{}", page.text());
    let mut outcome = workflow.outcome().await;
    assert_eq!(vote(&outcome), ("link".to_owned(), String::new(), false), "{outcome}");
    let mut claims = claims(&stack, &outcome).await;
    let first_run = stack.temporal.grpc().await.run(&workflow.id).await;
    assert_eq!(claims["workflowId"].take(), workflow.id);
    assert_eq!(claims["firstRunId"].take(), first_run);
    assert_eq!(claims["operator"].take(), false);
    assert_eq!(
        (claims["status"].take(), claims["basis"].take()),
        (json!("APPROVED"), json!("people"))
    );
    let jwks = stack.open(&stack.url("/.well-known/jwks.json")).await.body;
    let jwks = serde_json::from_str(&jwks).expect("JSON");
    let jws = text(&outcome["jws"]);
    let (signed, signature) = jws.rsplit_once('.').expect("a signature");
    let swapped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{swapped}{}", &signature[1..]);
    assert_eq!(verified(&jwks, &forged).await, None, "the check notices a forgery");
    outcome["workflowId"] = workflow.id.clone().into();
    assert_eq!(delivered(&receiver, &workflow).await, [outcome]);
    assert_eq!(stack.mails_so_far(ANN).len(), 1, "nobody has decided for her");
    stack.stop_worker().await;
    let page = stack.open(&link).await;
    page.expect(200, &["approved on"]);
    assert!(!page.says("operator"), "without a worker: {}", page.text());
}

#[tokio::test]
async fn after_a_reset_and_with_new_keys_a_press_is_still_the_reviewers_own() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let reset = async |workflow: &Workflow, task: &str| {
        let how = ["--type", task, "--reason", "tried"];
        let id = ["workflow", "reset", "--workflow-id", &workflow.id];
        workflow.temporal.must([&id[..], &how].concat()).await;
    };
    let press = async |stack: &Stack, workflow: &Workflow, link: &str| {
        stack.open(link).await.expect(200, &["Your decision is needed", TITLE]);
        stack.press(link, "approve", "").await.expect(200, &["approved"]);
        let outcome = workflow.outcome().await;
        assert_eq!(vote(&outcome), ("link".to_owned(), String::new(), false), "{outcome}");
        assert_eq!(claims(stack, &outcome).await["operator"], false);
    };
    let expense = submission::routed("125.50");
    // The first task is before the plan and the links.
    for task in ["LastWorkflowTask", "FirstWorkflowTask"] {
        let (workflow, link) = asked(&stack, &expense).await;
        stack.open(&link).await.expect(200, &[TITLE]);
        reset(&workflow, task).await;
        press(&stack, &workflow, &link).await;
    }

    let rotated = [asked(&stack, &expense).await, asked(&stack, &expense).await];
    let old = stack.setting("COUNTERSIGN_LINK_KEYS").to_owned();
    stack.restart_with("COUNTERSIGN_LINK_KEYS", format!("{},{old}", link_key())).await;
    press(&stack, &rotated[0].0, &rotated[0].1).await;
    stack.open(&rotated[1].1).await.expect(200, &[TITLE]);
    reset(&rotated[1].0, "LastWorkflowTask").await;
    press(&stack, &rotated[1].0, &rotated[1].1).await;
}

#[tokio::test]
async fn a_mailed_link_needs_no_index_and_a_wrong_hint_is_only_slower() {
    const LIST: &str = "ListWorkflowExecutions";
    let temporal = Temporal::start().await;
    let mut stack = Stack::beside(temporal.clone()).start().await;
    let ask = async |stack: &Stack| {
        let workflow = stack.submit(&submission::expense(&[ANN])).await;
        workflow.until_asked().await;
        let mail = stack.mails_so_far(ANN).pop().expect("a request");
        (workflow, mail)
    };
    let (other, _) = ask(&stack).await;
    let (workflow, mail) = ask(&stack).await;
    for choice in ["approve", "reject"] {
        stack.renew_signaler().await;
        stack.open(&mail.link(choice)).await.expect(200, &["Your decision is needed"]);
    }
    // The server counts calls in order, and says so a second later.
    temporal.list("WorkflowType = 'None'").await;
    let so_far = async |count: u64| {
        eventually(format!("{count} look-ups"), async || {
            let calls = temporal.calls(LIST).await;
            (calls >= count).then_some(calls)
        })
        .await
    };
    assert_eq!(so_far(1).await, 1, "nobody else has asked the index");

    for (hint, count) in [(&*other.id, 2), ("nothing", 3)] {
        let link = stack.url(&format!("/a/{}/{hint}", mail.approval_id()));
        stack.renew_signaler().await;
        stack.open(&link).await.expect(200, &["Your decision is needed"]);
        so_far(count).await;
    }
    stack.press(&mail.link("approve"), "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    assert_eq!(other.status().await["status"], "PENDING", "the hint decides nothing");
}

/// What operators are said to have done: decided for everybody, replaced Ann, and withdrawn it.
fn acts_of_operators(issued: &Value) -> [Value; 3] {
    let votes = approved_by(issued, &Value::Null);
    let by = |mut act: Value| {
        act["identity"] = "help desk".into();
        act["at"] = "2026-11-30T10:00:01Z".into();
        act
    };
    let reassigned = by(json!({"from": ANN, "to": MALLORY}));
    let withdrawn = by(json!({"reason": "No longer needed."}));
    let asked = votes[0].clone();
    [
        votes,
        json!([asked.clone(), {"reassigned": reassigned}]),
        json!([asked, {"withdrawn": withdrawn}]),
    ]
}

/// Has Ann told of what operators are said to have done, by a workflow whose next task a rogue answers.
async fn tell_ann(
    stack: &Stack,
    rogue: &Rogue,
    (chain, plan, issued): (Chain<'_>, &Value, &Value),
) {
    let task = rogue.workflow_task().await;
    let kinds = ["decidedByOperator", "superseded", "superseded"];
    let notices = acts_of_operators(issued).into_iter().zip(kinds).enumerate();
    let commands = notices.map(|(number, (journal, kind))| {
        let notice = json!({
            "workflowId": chain.workflow_id, "number": number + 100, "recipient": ANN,
            "about": {kind: evidence(chain, plan, journal)},
        });
        let id = format!("made-up-{number}");
        schedule_activity(&stack.queue, &id, "announce_decision", vec![json_payload(&notice)])
    });
    rogue.answer(task, commands.collect()).await;
}

/// Waits until each of these notices was refused, for this reason.
async fn none_is_sent(grpc: &Grpc, caller: &str, why: &str) {
    for number in 0..3 {
        let refused = grpc.end_of_activity(caller, &format!("made-up-{number}")).await;
        let refused = refused.unwrap_or_else(|| panic!("notice {number} of {caller} is sent"));
        assert!(refused.contains(why), "{number}: {refused}");
    }
}

/// Whether somebody was told something, besides being asked.
fn is_told(stack: &Stack, who: &str) -> bool {
    stack.mails_so_far(who).iter().any(|mail| !mail.has_links())
}

#[tokio::test]
async fn nobody_is_told_of_an_operator_who_has_signalled_nothing() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (workflow, _) = asked(&stack, &submission::routed("125.50")).await;
    let [own, seats] = recorded(&grpc, &workflow).await;
    let run = grpc.run(&workflow.id).await;
    let chain = Chain { workflow_id: &workflow.id, first_run_id: &run };
    let (plan, issued) = (own.result()["plan"].take(), seats.result());

    let other = stack.new_workflow_id();
    grpc.start(&other, &other, Vec::new()).await;
    tell_ann(&stack, &grpc.rogue(&other), (chain, &plan, &issued)).await;
    none_is_sent(&grpc, &other, "nobody has signalled").await;
    stack.stop_worker().await;
    grpc.signal(&workflow.id, "remind", Vec::new()).await;
    tell_ann(&stack, &grpc.rogue(&stack.queue), (chain, &plan, &issued)).await;
    stack.start_worker();
    none_is_sent(&grpc, &workflow.id, "nobody has signalled").await;
    assert!(!is_told(&stack, ANN), "{:?}", stack.mails_so_far(ANN));
}

#[tokio::test]
async fn under_the_id_of_a_closed_approval_nobody_is_told_anything() {
    let receiver = Receiver::refusing(0).await;
    let stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
    let [own, seats] = recorded(&grpc, &workflow).await;
    let run = grpc.run(&workflow.id).await;
    stack.press(&link, "reject", "").await.expect(200, &["rejected"]);
    workflow.outcome().await;
    let chain = Chain { workflow_id: &workflow.id, first_run_id: &run };
    let (plan, issued) = (own.result()["plan"].take(), seats.result());

    let queue = stack.new_workflow_id();
    grpc.start(&queue, &workflow.id, Vec::new()).await;
    for (vote, of) in [("approve", json!({"reviewer": ANN})), ("withdraw", json!({}))] {
        grpc.signal(&workflow.id, vote, vec![json_payload(&of)]).await;
    }
    tell_ann(&stack, &grpc.rogue(&queue), (chain, &plan, &issued)).await;
    none_is_sent(&grpc, &workflow.id, "this run is not the approval's").await;
    let other = stack.new_workflow_id();
    grpc.start(&other, &other, Vec::new()).await;
    tell_ann(&stack, &grpc.rogue(&other), (chain, &plan, &issued)).await;
    none_is_sent(&grpc, &other, "nobody has signalled").await;
    assert!(!is_told(&stack, ANN), "{:?}", stack.mails_so_far(ANN));
}

/// Who answers a task of a genuine approval makes up to whom it says what.
#[tokio::test]
async fn whom_a_rogue_names_gets_no_mail_and_whom_it_misinforms_neither() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (workflow, _) = asked(&stack, &submission::routed("125.50")).await;
    workflow.signal("reassign", &json!({"reviewer": ANN, "to": BOB})).await;
    stack.mail_to(BOB).await;
    stack.mails_to(ANN, 2).await;
    workflow.until_asked().await;
    let [own, seats] = recorded(&grpc, &workflow).await;
    let run = grpc.run(&workflow.id).await;
    let chain = Chain { workflow_id: &workflow.id, first_run_id: &run };
    let (plan, issued) = (own.result()["plan"].take(), seats.result());
    let to_bob = |(activity, input): (String, Payload)| {
        let request: Value = serde_json::from_slice(&input.data).ok()?;
        (activity == "request_approval" && request["reviewer"] == BOB).then_some(request)
    };
    let requests = scheduled(&grpc.events(&workflow.id).await);
    let mut request = requests.into_iter().find_map(to_bob).expect("a request");
    assert!(request["reassignedBy"].is_string(), "{request}");
    request["reassignedBy"] = "the CFO".into();

    let at = "2026-11-30T10:00:01Z";
    let asked = json!({"asked": {"invited": issued["invited"], "due": issued["due"], "at": at}});
    let refused = json!({"reached": {"link": issued["invited"][0]["link"], "reached": false}});
    let (once, unreached) = (json!([asked]), json!([asked, refused]));
    let notice = |recipient: &str, kind: &str, journal: &Value| {
        json!({
            "workflowId": chain.workflow_id, "number": 100, "recipient": recipient,
            "about": {kind: evidence(chain, &plan, journal.clone())},
        })
    };
    let (not_so, another) = ("what it would say is not so", "does not concern the recipient");
    let forged = [
        ("request_approval", request, "nobody has signalled"),
        ("announce_decision", notice(SAM, "started", &once), not_so),
        ("announce_decision", notice(SAM, "unreachable", &once), not_so),
        ("announce_decision", notice(MALLORY, "unreachable", &unreached), another),
        // People would take these for Sam's. The second domain has a Cyrillic letter.
        ("announce_decision", notice("sam+x@example.com", "unreachable", &unreached), another),
        ("announce_decision", notice("sam@xn--exmple-4nf.com", "unreachable", &unreached), another),
    ];
    let commands = forged.iter().enumerate().map(|(number, (activity, input, _))| {
        let id = format!("made-up-{number}");
        schedule_activity(&stack.queue, &id, activity, vec![json_payload(input)])
    });
    let (commands, mails) = (commands.collect(), stack.outbox_size());
    answer_next(&mut stack, &grpc, &workflow, commands).await;
    for (number, (activity, input, why)) in forged.iter().enumerate() {
        let refused = grpc.end_of_activity(&workflow.id, &format!("made-up-{number}")).await;
        let refused = refused.unwrap_or_else(|| panic!("{activity} acts on {input}"));
        assert!(refused.contains(why), "{activity} on {input}: {refused}");
    }
    assert_eq!(stack.outbox_size(), mails, "no mail");
}

/// The next run of a genuine approval has its sealed plan, and operators who did nothing.
#[tokio::test]
async fn a_state_with_acts_of_operators_that_nobody_has_signalled_is_not_concluded() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    for (act, what) in [(0, "a vote"), (2, "a withdrawal")] {
        let (workflow, link) = asked(&stack, &submission::routed("125.50")).await;
        let [own, seats] = recorded(&grpc, &workflow).await;
        let run = grpc.run(&workflow.id).await;
        let chain = Chain { workflow_id: &workflow.id, first_run_id: &run };
        let journal = acts_of_operators(&seats.result())[act].take();
        let state = continued(chain, &own.result()["plan"], journal);
        let next_run = vec![continue_as_approval(&stack.queue, state)];
        answer_next(&mut stack, &grpc, &workflow, next_run).await;
        fails_as_forged(&mut stack, &receiver, &workflow, &link, what).await;
        assert!(!is_told(&stack, ANN), "{what}: {:?}", stack.mails_so_far(ANN));
    }
}

/// The next run claims that Ann was replaced, so that our worker issues a link. It is not mailed then either
/// where nobody is said to have wanted that.
#[tokio::test]
async fn nobody_is_asked_in_anothers_place_whom_no_operator_has_named() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (workflow, _) = asked(&stack, &submission::routed("125.50")).await;
    let [own, seats] = recorded(&grpc, &workflow).await;
    let run = grpc.run(&workflow.id).await;
    let chain = Chain { workflow_id: &workflow.id, first_run_id: &run };
    let [_, replaced, _] = acts_of_operators(&seats.result());
    let state = continued(chain, &own.result()["plan"], replaced);
    let next_run = vec![continue_as_approval(&stack.queue, state)];
    answer_next(&mut stack, &grpc, &workflow, next_run).await;
    let to_mallory = |(_, input): (String, Payload)| {
        let request: Value = serde_json::from_slice(&input.data).ok()?;
        (request["reviewer"] == MALLORY && request["link"].is_string()).then_some(request)
    };
    let mut request = eventually("a request to Mallory", async || {
        scheduled(&grpc.events(&workflow.id).await).into_iter().find_map(to_mallory)
    })
    .await;
    let wanted_by = request.as_object_mut().and_then(|request| request.remove("reassignedBy"));
    assert_eq!(wanted_by, Some(json!("help desk")), "{request}");
    let input = vec![json_payload(&request)];
    let again = vec![schedule_activity(&stack.queue, "again", "request_approval", input)];
    answer_next(&mut stack, &grpc, &workflow, again).await;
    let refused = grpc.end_of_activity(&workflow.id, "again").await.expect("Mallory is asked");
    assert!(refused.contains("nobody has signalled"), "{refused}");
    assert!(stack.mails_so_far(MALLORY).is_empty(), "{:?}", stack.mails_so_far(MALLORY));
}

/// A digest covers no routing: the same submission with other reviewers would pass for the same approval.
#[tokio::test]
async fn a_run_that_goes_on_with_a_submission_is_refused() {
    let mut stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let (workflow, _) = asked(&stack, &submission::expense(&[ANN])).await;
    let input = json_payload(&submission::expense(&[MALLORY]));
    let next_run = vec![continue_as_approval(&stack.queue, input)];
    answer_next(&mut stack, &grpc, &workflow, next_run).await;
    let end = workflow.end().await;
    assert!(matches!(end, End::Failed { .. }), "{end:?}");
    let history = workflow.history().await;
    assert!(history.0.contains("InvalidStart"), "{}", history.outline());
    assert!(stack.mails_so_far(MALLORY).is_empty(), "{:?}", stack.mails_so_far(MALLORY));
}

#[tokio::test]
async fn an_operators_signal_counts_in_every_run_of_its_approval() {
    let receiver = Receiver::refusing(0).await;
    let mut stack = start_stack(&receiver).await;
    let grpc = stack.temporal.grpc().await;
    let (workflow, _) = asked(&stack, &submission::routed("125.50")).await;
    workflow.signal("approve", &json!({"reviewer": ANN})).await;
    let outcome = workflow.outcome().await;
    assert_eq!((&outcome["status"], &outcome["operator"]), (&json!("APPROVED"), &json!(true)));
    let how = ["--type", "FirstWorkflowTask", "--reason", "tried"];
    let reset = ["workflow", "reset", "--workflow-id", &workflow.id];
    stack.temporal.must([&reset[..], &how].concat()).await;
    let again = workflow.outcome().await;
    assert_eq!((&again["status"], &again["operator"]), (&json!("APPROVED"), &json!(true)));

    let (workflow, _) = asked(&stack, &submission::routed("125.50")).await;
    let [own, seats] = recorded(&grpc, &workflow).await;
    let run = grpc.run(&workflow.id).await;
    let chain = Chain { workflow_id: &workflow.id, first_run_id: &run };
    let votes = approved_by(&seats.result(), &Value::Null);
    let state = continued(chain, &own.result()["plan"], votes);
    stack.stop_worker().await;
    let (identity, input) = ("countersign-signaler", json_payload(&json!({"reviewer": ANN})));
    let signalled = grpc.try_signal_from(identity, "1", &workflow.id, "approve", vec![input]);
    signalled.await.expect("an open approval");
    let rogue = grpc.rogue(&stack.queue);
    let task = rogue.workflow_task().await;
    rogue.answer(task, vec![continue_as_approval(&stack.queue, state)]).await;
    stack.start_worker();
    let outcome = workflow.outcome().await;
    assert_eq!((&outcome["status"], &outcome["operator"]), (&json!("APPROVED"), &json!(true)));
    assert_ne!(grpc.run(&workflow.id).await, run, "in the next run");
}
