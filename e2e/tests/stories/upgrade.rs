//! The worker of the previous release hands its open approvals over to today's.
//!
//! `scripts/previous-release` builds the one, from this repository's history.

use std::time::Duration;

use countersign_e2e::{
    Grpc, Mail, Stack, Temporal, Workflow, list, submission, task_failures, text, within,
};
use serde_json::{Value, json};

#[tokio::test]
async fn open_approvals_survive_an_upgrade_from_a_worker_that_is_asked_to_stop() {
    upgrade(async |stack| {
        let stopped = stack.stop_worker().await;
        assert_eq!(stopped.code, 0, "{}", stack.logs());
    })
    .await;
}

#[tokio::test]
async fn open_approvals_survive_an_upgrade_from_a_worker_that_is_killed() {
    upgrade(Stack::kill_worker).await;
}

/// How long a reminder and a deadline are away when their approvals are started: the previous
/// worker has to be gone by then.
const SOON: &str = "20s";

/// Approvals that the previous worker began, each left in another situation.
struct Open {
    /// Nobody has decided in the first of two stages.
    in_first_stage: Workflow,
    /// The first stage is approved, and in the second one of two votes is there.
    in_second_stage: Workflow,
    /// A decision came before the worker asked anybody; one more is needed.
    decided_early: Workflow,
    /// Nobody has decided, and its page is shown once no worker runs.
    decided_meanwhile: Workflow,
    /// Will be withdrawn.
    withdrawn: Workflow,
    /// A reminder is due soon.
    reminded: Workflow,
    /// The deadline comes soon.
    due: Workflow,
}

impl Open {
    fn all(&self) -> [&Workflow; 7] {
        [
            &self.in_first_stage,
            &self.in_second_stage,
            &self.decided_early,
            &self.decided_meanwhile,
            &self.withdrawn,
            &self.reminded,
            &self.due,
        ]
    }
}

async fn upgrade(end_the_previous_worker: impl AsyncFnOnce(&mut Stack)) {
    let mut stack = Stack::beside(Temporal::shared().await).start_without_worker().await;
    let open = begin(&mut stack).await;
    end_the_previous_worker(&mut stack).await;
    for (workflow, timer) in [(&open.reminded, "reminder"), (&open.due, "deadline")] {
        let fired = workflow.history().await.count("TIMER_FIRED");
        assert_eq!(fired, 0, "the {timer} came before the previous worker was gone: raise SOON");
    }
    let link = stack.mail_to("dan@example.com").await.link("approve");
    stack.press(&link, "approve", "between two workers").await.expect(202, &["recorded"]);

    stack.start_worker();
    let grpc = stack.temporal.grpc().await;
    tokio::select! {
        () = finish(&stack, &open) => {}
        why = stuck(&grpc, &open) => panic!("{why}"),
    }
    for workflow in open.all() {
        let failures = task_failures(&grpc.events(&workflow.id).await);
        assert_eq!(failures, Vec::<String>::new(), "{}", workflow.id);
    }
}

/// Starts the previous worker and the approvals, and brings each where it is to be found.
async fn begin(stack: &mut Stack) -> Open {
    let expense = submission::expense;
    let rules = |stages: Value| submission::asking(json!({ "stages": stages }));

    let both = ["early@example.com", "later@example.com"];
    let decided_early = stack.submit(&rules(json!([{"reviewers": both, "quorum": "all"}]))).await;
    let early = json!({"reviewer": both[0], "comment": "before anybody asked"});
    decided_early.signal("approve", &early).await;
    stack.start_previous_worker();

    let board = ["bea@example.com", "bob@example.com", "ben@example.com"];
    let in_second_stage = stack
        .submit(&rules(json!([
            {"name": "Manager", "reviewers": ["mia@example.com"]},
            {"name": "Board", "reviewers": board, "quorum": 2},
        ])))
        .await;
    let in_first_stage = stack
        .submit(&rules(json!([
            {"name": "Manager", "reviewers": ["max@example.com"]},
            {"name": "Board", "reviewers": ["boss@example.com"]},
        ])))
        .await;
    let decided_meanwhile = stack.submit(&expense(&["dan@example.com"])).await;
    let withdrawn = stack.submit(&expense(&["wes@example.com"])).await;

    let manager = stack.mail_to("mia@example.com").await.link("approve");
    in_second_stage.until_asked().await;
    stack.press(&manager, "approve", "go on").await.expect(200, &[]);
    let member = stack.mail_to(board[0]).await.link("approve");
    in_second_stage.until_asked().await;
    stack.press(&member, "approve", "one of two").await.expect(200, &[]);

    // The last ones, because their time runs.
    let reminded = json!([{"reviewers": ["busy@example.com"], "reminders": [SOON]}]);
    let reminded = stack.submit(&rules(reminded)).await;
    let due =
        json!([{"reviewers": ["late@example.com"], "deadline": SOON, "onDeadline": "reject"}]);
    let due = stack.submit(&rules(due)).await;
    let open = Open {
        in_first_stage,
        in_second_stage,
        decided_early,
        decided_meanwhile,
        withdrawn,
        reminded,
        due,
    };
    for workflow in open.all().into_iter().rev() {
        // The early decision counts already, and nobody is mailed who has decided.
        if workflow.id != open.decided_early.id {
            workflow.until_asked().await;
        }
    }
    stack.mail_to(both[1]).await;
    open
}

/// Lets today's worker bring every approval to its end.
async fn finish(stack: &Stack, open: &Open) {
    let outcome = open.decided_meanwhile.outcome().await;
    assert_decided(&outcome, "APPROVED", &[&[("dan@example.com", "between two workers")]]);

    let press = async |reviewer: &str, verdict: &str, comment: &str| {
        let link = stack.mail_to(reviewer).await.link(verdict);
        let page = stack.press(&link, verdict, comment).await;
        // Temporal may still wait for the previous worker to answer a query: then the page comes
        // without the workflow's own word.
        assert!([200, 202].contains(&page.status), "{reviewer}: {}", page.text());
    };
    press("max@example.com", "approve", "go on").await;
    press("boss@example.com", "reject", "no").await;
    let outcome = open.in_first_stage.outcome().await;
    let expected = [&[("max@example.com", "go on")][..], &[("boss@example.com", "no")]];
    assert_decided(&outcome, "REJECTED", &expected);

    press("ben@example.com", "approve", "two of two").await;
    let outcome = open.in_second_stage.outcome().await;
    let board = [("bea@example.com", "one of two"), ("ben@example.com", "two of two")];
    assert_decided(&outcome, "APPROVED", &[&[("mia@example.com", "go on")], &board]);

    press("later@example.com", "approve", "in time").await;
    let outcome = open.decided_early.outcome().await;
    let both = [("early@example.com", "before anybody asked"), ("later@example.com", "in time")];
    assert_decided(&outcome, "APPROVED", &[&both]);

    open.withdrawn.cancel().await;
    assert_decided(&open.withdrawn.outcome().await, "WITHDRAWN", &[&[]]);
    assert_decided(&open.due.outcome().await, "REJECTED", &[&[]]);

    let mails = stack.mails_to("busy@example.com", 2).await;
    let ids: Vec<String> = mails.iter().map(Mail::approval_id).collect();
    assert_eq!(ids[0], ids[1], "a reminder has the same links");
    press("busy@example.com", "approve", "reminded").await;
    let outcome = open.reminded.outcome().await;
    assert_decided(&outcome, "APPROVED", &[&[("busy@example.com", "reminded")]]);

    let told = open.all().len();
    stack.mails_to("sam@example.com", told).await;
}

/// Waits until the worker fails a workflow task, which it will then do again and again.
async fn stuck(grpc: &Grpc, open: &Open) -> String {
    within(Duration::from_secs(600), "a workflow task to fail", async || {
        for workflow in open.all() {
            if let Some(failure) = task_failures(&grpc.events(&workflow.id).await).first() {
                return Some(format!(
                    "the worker cannot go on with {}, which the previous release began, and would \
                     leave every such approval undecided. {failure}\nA change of the workflow's \
                     commands needs an edition: see \"Changing workflow code\" in ARCHITECTURE.md.",
                    workflow.id,
                ));
            }
        }
        None
    })
    .await
}

/// Insists on a status, and on who decided in each stage, with which comment.
#[track_caller]
fn assert_decided(outcome: &Value, status: &str, stages: &[&[(&str, &str)]]) {
    assert_eq!(outcome["status"], status, "{outcome}");
    let decided: Vec<Vec<(String, String)>> = list(&outcome["stages"])
        .map(|stage| {
            let decisions = list(&stage["decisions"]);
            decisions.map(|each| (text(&each["reviewer"]), text(&each["comment"]))).collect()
        })
        .collect();
    let owned = |&(reviewer, comment): &(&str, &str)| (reviewer.to_owned(), comment.to_owned());
    let expected: Vec<Vec<_>> =
        stages.iter().map(|stage| stage.iter().map(owned).collect()).collect();
    assert_eq!(decided, expected, "{outcome}");
}
