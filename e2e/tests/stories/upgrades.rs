//! Keys and versions change while everything runs: some processes have the new ones, others not yet.

use std::time::Duration;

use countersign_e2e::{
    Marker, Stack, Temporal, Workflow, eventually, json_payload, link_key, publish_links,
    submission, text, verified,
};
use countersign_protos::{Chain, LinkContext, LinkKeys, names};
use serde_json::{Value, json};

const KEYS: &str = "COUNTERSIGN_LINK_KEYS";
const ASKED: &str = "Your decision is needed";

/// Two workers and two signalers of one installation, which all start with this key.
async fn halves(key: &str) -> [Stack; 2] {
    let temporal = Temporal::shared().await;
    let first = Stack::beside(temporal.clone()).with(KEYS, key).start().await;
    let second = Stack::beside(temporal)
        .with("COUNTERSIGN_TASK_QUEUE", first.queue.clone())
        .with("COUNTERSIGN_NOTIFY", first.setting("COUNTERSIGN_NOTIFY"))
        .with(KEYS, key)
        .start()
        .await;
    [first, second]
}

/// A request as its reviewer has it: the link's path is the same at each signaler.
struct Asked {
    workflow: Workflow,
    reviewer: String,
    path: String,
}

/// As many approvals, opened by the worker that is running.
async fn ask(first: &Stack, count: usize) -> Vec<Asked> {
    let mut all = Vec::new();
    for _ in 0..count {
        let id = first.new_workflow_id();
        let reviewer = format!("{id}@example.com");
        let workflow = first.submit_as(&id, &submission::expense(&[&reviewer])).await;
        workflow.until_asked().await;
        let link = first.mail_to(&reviewer).await.link("approve");
        let at = link.find("/a/").expect("a review link");
        all.push(Asked { workflow, reviewer, path: link[at..].to_owned() });
    }
    all
}

/// Decides at one of the signalers; the other shows it too, and both publish what checks the outcome.
async fn decide(halves: &[Stack; 2], asked: &Asked, signaler: usize) {
    for half in halves {
        // Where another worker is slow to take over, the page says that none is running.
        eventually("the page to ask", async || {
            let page = half.open(&half.url(&asked.path)).await;
            assert_eq!(page.status, 200, "{}", page.text());
            page.says(ASKED).then_some(())
        })
        .await;
    }
    let pressed = halves[signaler].press(&halves[signaler].url(&asked.path), "approve", "").await;
    assert!([200, 202].contains(&pressed.status), "{}", pressed.text());
    concluded(halves, asked).await;
}

/// The outcome is approved by the reviewer's own vote, and the keys of each signaler verify it.
async fn concluded(halves: &[Stack; 2], asked: &Asked) {
    let outcome = asked.workflow.outcome().await;
    let vote = &outcome["stages"][0]["decisions"][0];
    assert_eq!((&vote["reviewer"], &vote["by"]), (&json!(asked.reviewer), &json!("link")));
    for half in halves {
        let jwks = half.open(&half.url("/.well-known/jwks.json")).await;
        let jwks = serde_json::from_str(&jwks.body).expect("JSON");
        let claims = verified(&jwks, &text(&outcome["jws"])).await.expect("a good signature");
        assert_eq!(claims["workflowId"], asked.workflow.id);
        assert_eq!((&claims["status"], &claims["operator"]), (&json!("APPROVED"), &json!(false)));
        half.open(&half.url(&asked.path)).await.expect(200, &["approved"]);
    }
}

/// The documented order, halted halfway through each step: what either half opens is decided at either half's
/// signaler and concluded by either half's worker.
#[tokio::test]
async fn a_rotation_that_is_rolled_out_by_half_loses_nothing() {
    let (old, new) = (link_key(), link_key());
    let both = [format!("{old},{new}"), format!("{new},{old}")];
    let mut halves = halves(&old).await;
    let mut early = ask(&halves[0], 2).await;
    for keys in [[&both[0], &old], [&both[1], &both[0]]] {
        for (half, keys) in halves.iter_mut().zip(keys) {
            half.restart_with(KEYS, keys.clone()).await;
        }
        let mut opened = Vec::new();
        for opener in [0, 1] {
            halves[1 - opener].stop_worker().await;
            opened.push(ask(&halves[0], 4).await);
            halves[1 - opener].start_worker();
        }
        for concluder in [0, 1] {
            halves[1 - concluder].stop_worker().await;
            for opened in &mut opened {
                for signaler in [0, 1] {
                    let asked = opened.pop().expect("four");
                    decide(&halves, &asked, signaler).await;
                }
            }
            halves[1 - concluder].start_worker();
        }
        decide(&halves, &early.pop().expect("one for each step"), 0).await;
    }
}

/// The second half has the new key first, and the first half does not have it at all.
#[tokio::test]
async fn who_lacks_a_key_waits_for_it_and_refuses_nothing() {
    let (old, new) = (link_key(), link_key());
    let [mut first, mut second] = halves(&old).await;
    let both = format!("{new},{old}");
    second.restart_with(KEYS, both.clone()).await;
    first.stop_worker().await;
    let asked = ask(&first, 1).await.swap_remove(0);
    first.start_worker();
    second.stop_worker().await;

    let Asked { workflow, reviewer, path } = &asked;
    workflow.signal("remind", &json!({})).await;
    workflow.pending_failure("is not in COUNTERSIGN_LINK_KEYS").await;
    assert!(workflow.history().await.count("WORKFLOW_TASK_FAILED") == 0);
    // To this signaler, nobody has made the link.
    let link = first.url(path);
    first.open(&link).await.expect(404, &["was not issued here"]);
    assert_eq!(first.press(&link, "approve", "").await.status, 404);
    assert_eq!(workflow.history().await.count("WORKFLOW_EXECUTION_SIGNALED"), 1, "the reminder");

    let pressed = second.press(&second.url(path), "approve", "").await;
    assert_eq!(pressed.status, 202, "{}", pressed.text());
    eventually("the outcome to wait for the key", async || {
        let log = first.worker().log();
        let mut waits = log.lines().filter(|line| line.contains("what=\"conclude\""));
        waits.any(|line| line.contains("is not in COUNTERSIGN_LINK_KEYS")).then_some(())
    })
    .await;
    assert!(workflow.end_within(Duration::ZERO).await.is_none(), "it is not refused");

    // What waits for a key does not keep the worker from stopping.
    assert_eq!(first.stop_worker().await.code, 0);
    first.start_worker();
    first.restart_with(KEYS, both).await;
    second.start_worker();
    let halves = [first, second];
    concluded(&halves, &asked).await;
    let history = workflow.history().await;
    assert!(!history.0.contains("NotGenuine"), "{}", history.outline());
    assert_eq!(history.count("WORKFLOW_TASK_FAILED"), 0, "{}", history.outline());
    assert!(!halves[0].mails_so_far(reviewer).is_empty());
}

/// An approval as a newer worker opens it, whose digests this version cannot compute.
#[tokio::test]
async fn a_link_of_a_newer_version_waits_for_the_upgrade() {
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let known = ask(&stack, 1).await.swap_remove(0);
    let events = grpc.events(&known.workflow.id).await;
    let [plan, seats] = [names::ACTIVITY_VALIDATE, names::ACTIVITY_ISSUE_LINKS]
        .map(|activity| Marker::of(&events, activity));

    let newer = stack.temporal.workflow(&stack.new_workflow_id());
    grpc.start(&newer.id, &newer.id, Vec::new()).await;
    let first_run_id = grpc.run(&newer.id).await;
    let chain = Chain { workflow_id: &newer.id, first_run_id: &first_run_id };
    let keys: LinkKeys = stack.setting(KEYS).parse().expect("keys");
    let link = keys.first().link(LinkContext::new(chain, "v2:0", &known.reviewer));
    let (hash, mut planned, mut issued) = (link.hash().as_str(), plan.result(), seats.result());
    let mut json: Value =
        serde_json::from_str(&text(&planned["plan"]["json"])).expect("a plan in JSON");
    json["digest"] = "v2:0".into();
    planned["plan"]["json"] = json.to_string().into();
    issued["invited"][0]["link"] = hash.into();
    issued["invited"][0]["key"] = link.public_key().into();
    let mut state = known.workflow.status().await;
    state["digest"] = "v2:0".into();
    state["stages"][0]["reviewers"][0]["link"] = hash.into();

    let rogue = grpc.rogue(&newer.id);
    let task = rogue.workflow_task().await;
    let markers = [plan.with(&planned), seats.with(&issued)].map(Marker::record);
    rogue.answer(task, [&markers[..], &[publish_links(&[hash])]].concat()).await;
    newer.newest_link().await;
    let before = newer.history().await;
    let answers = rogue.answer_queries(&state);
    let id = link.id().reveal();
    for path in [format!("/a/{id}/{}", newer.id), format!("/a/{id}")] {
        let url = stack.url(&path);
        let page = stack.open(&url).await;
        page.expect(503, &["being upgraded"]);
        assert!(page.header("retry-after").parse::<u32>().is_ok(), "{:?}", page.headers);
        let pressed = stack.press(&url, "approve", "").await;
        pressed.expect(503, &["being upgraded", "Nothing was recorded"]);
    }
    answers.abort();
    let _ = answers.await;
    stack.open(&stack.url(&format!("/a/{id}"))).await.expect(503, &["being upgraded"]);
    assert_eq!(newer.history().await, before);

    // A copy that claims to be newer hides nothing.
    let hash = known.workflow.newest_link().await;
    let copy = stack.temporal.workflow(&stack.new_workflow_id());
    grpc.start_with_links(&copy.id, &copy.id, vec![json_payload(&json!({}))], &[&hash]).await;
    let rogue = grpc.rogue(&copy.id);
    let task = rogue.workflow_task().await;
    planned["plan"]["json"] = json.to_string().into();
    let original = Marker::of(&events, names::ACTIVITY_ISSUE_LINKS);
    let markers = [Marker::of(&events, names::ACTIVITY_VALIDATE).with(&planned), original];
    rogue.answer(task, markers.map(Marker::record).into()).await;
    copy.newest_link().await;
    let (id, _) = known.path["/a/".len()..].split_once('/').expect("a hint");
    stack.open(&stack.url(&format!("/a/{id}"))).await.expect(200, &[ASKED]);
}
