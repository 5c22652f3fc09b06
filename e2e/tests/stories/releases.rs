//! Today's build after an older one and beside it. `make test-upgrade` makes the older one from this repository's
//! history: a release, or any commit whose histories replay.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use countersign_e2e::{
    Answer, Page, Receiver, Stack, Temporal, Workflow, eventually, older, replay, replay_json,
    scratch, submission, task_failures, tool,
};
use serde_json::{Value, json};

use self::Act::{Asked, Mailed, Press, Revise, SentBack, Signal};

const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];

/// What happens to an approval.
enum Act {
    /// There are so many mails to somebody.
    Mailed(&'static str, usize),
    /// The same, and all requests are sent.
    Asked(&'static str, usize),
    /// Somebody opens the link in one of their mails, counted from 1, and presses a button.
    Press(&'static str, usize, &'static str),
    /// An operator sends a signal, with this JSON.
    Signal(&'static str, &'static str),
    /// The submitter gets a link of their own.
    SentBack,
    /// They revise the submission by it.
    Revise,
}

/// An approval that one build opens, and another finishes.
struct Story {
    /// As JSON.
    stages: &'static str,
    /// With the worker that opens it.
    before: &'static [Act],
    /// While no worker runs.
    between: &'static [Act],
    /// With the worker that finishes it.
    after: &'static [Act],
    status: &'static str,
}

const IN_ITS_FIRST_STAGE: Story = Story {
    stages: r#"[{"reviewers": ["ann@example.com"]}]"#,
    before: &[Asked("ann@example.com", 1)],
    between: &[],
    after: &[Press("ann@example.com", 1, "approve")],
    status: "APPROVED",
};

const IN_ITS_SECOND_STAGE: Story = Story {
    stages: r#"[{"reviewers": ["bob@example.com"]}, {"reviewers": ["cem@example.com"]}]"#,
    before: &[Press("bob@example.com", 1, "approve"), Asked("cem@example.com", 1)],
    between: &[],
    after: &[Press("cem@example.com", 1, "approve")],
    status: "APPROVED",
};

const DECIDED_BETWEEN: Story = Story {
    stages: r#"[{"reviewers": ["dan@example.com"]}]"#,
    before: &[Asked("dan@example.com", 1)],
    between: &[Press("dan@example.com", 1, "reject")],
    after: &[],
    status: "REJECTED",
};

const WITHDRAWN_BETWEEN: Story = Story {
    stages: r#"[{"reviewers": ["eva@example.com"]}]"#,
    before: &[Asked("eva@example.com", 1)],
    between: &[Signal("withdraw", r#"{"reason": "Ordered twice"}"#)],
    after: &[],
    status: "WITHDRAWN",
};

const WITH_OPERATORS_ACTS: Story = Story {
    stages: r#"[{"reviewers": ["fay@example.com"]}]"#,
    before: &[
        Asked("fay@example.com", 1),
        Signal("reassign", r#"{"reviewer": "fay@example.com", "to": "gus@example.com"}"#),
        Asked("gus@example.com", 1),
        Signal("reissue", r#"{"reviewer": "gus@example.com"}"#),
        Asked("gus@example.com", 2),
        Signal("remind", "{}"),
        Asked("gus@example.com", 3),
    ],
    between: &[],
    after: &[Press("gus@example.com", 3, "approve")],
    status: "APPROVED",
};

const SENT_BACK: Story = Story {
    stages: r#"[{"reviewers": ["hal@example.com"]}]"#,
    before: &[Press("hal@example.com", 1, "request_changes"), SentBack],
    between: &[],
    after: &[Revise, Press("hal@example.com", 2, "approve")],
    status: "APPROVED",
};

/// The receiver of the outcome does not answer.
const UNDELIVERED: Story = Story {
    stages: r#"[{"reviewers": ["ida@example.com"]}]"#,
    before: &[Press("ida@example.com", 1, "approve")],
    between: &[],
    after: &[],
    status: "APPROVED",
};

const LATE: &str = "jon@example.com";

/// Long enough for the other worker to begin before the reminder, and to be slow before the deadline.
const WITH_A_REMINDER_AND_A_DEADLINE_TO_COME: Story = Story {
    stages: r#"[{"reviewers": ["jon@example.com"], "reminders": ["20s"], "deadline": "60s"}]"#,
    before: &[Asked(LATE, 1)],
    between: &[],
    after: &[Mailed(LATE, 2)],
    status: "EXPIRED",
};

/// The last one is the one that time runs for.
const STATES: [Story; 8] = [
    UNDELIVERED,
    IN_ITS_FIRST_STAGE,
    IN_ITS_SECOND_STAGE,
    DECIDED_BETWEEN,
    WITHDRAWN_BETWEEN,
    WITH_OPERATORS_ACTS,
    SENT_BACK,
    WITH_A_REMINDER_AND_A_DEADLINE_TO_COME,
];

/// Each by links alone.
const BY_LINKS: [Story; 3] = [
    IN_ITS_FIRST_STAGE,
    Story { between: &[], after: DECIDED_BETWEEN.between, ..DECIDED_BETWEEN },
    SENT_BACK,
];

impl Story {
    async fn begin(&self, stack: &Stack) -> Workflow {
        let stages: Value = serde_json::from_str(self.stages).expect("JSON");
        let workflow = stack.submit(&submission::asking(json!({"stages": stages}))).await;
        happens(stack, &workflow, self.before).await;
        workflow
    }

    /// It ends as it should, and all of it replays with today's code.
    async fn finish(&self, stack: &Stack, workflow: &Workflow) {
        happens(stack, workflow, self.after).await;
        let outcome = workflow.outcome().await;
        assert_eq!(outcome["status"], self.status, "{outcome}");
        assert!(outcome["webhookError"].is_null(), "{outcome}");
        let events = stack.temporal.grpc().await.events(&workflow.id).await;
        assert_eq!(task_failures(&events), [""; 0], "{outcome}");
        replay(events).await.unwrap_or_else(|why| panic!("it would do otherwise: {why} {outcome}"));
    }
}

async fn happens(stack: &Stack, workflow: &Workflow, acts: &[Act]) {
    for act in acts {
        match act {
            Mailed(who, count) => drop(stack.mails_to(who, *count).await),
            Asked(who, count) => {
                stack.mails_to(who, *count).await;
                workflow.until_asked().await;
            }
            Press(who, mail, verdict) => {
                let link = stack.mails_to(who, *mail).await[mail - 1].link("approve");
                press(stack, &link, verdict).await;
            }
            Signal(name, json) => {
                let json: Value = serde_json::from_str(json).expect("JSON");
                workflow.signal(name, &json).await;
            }
            SentBack => drop(stack.own_mail(workflow).await),
            Revise => revise(stack, workflow).await,
        }
    }
}

async fn press(stack: &Stack, link: &str, verdict: &str) {
    let button = ("verdict".to_owned(), verdict.to_owned());
    eventually(format!("the button {verdict}"), async || {
        let page = stack.open(link).await;
        page.expect(200, &[]);
        page.buttons().contains(&button).then_some(())
    })
    .await;
    recorded(&stack.press(link, verdict, "As in the story").await);
}

async fn revise(stack: &Stack, workflow: &Workflow) {
    let own = stack.own_mail(workflow).await.own_link().expect("the submitter's link");
    stack.open(&own).await.expect(200, &[]);
    let fields = [("act", "revise"), ("title", "By bus"), ("amount", "99.00"), ("currency", "USD")];
    recorded(&stack.reader().submit(&own, &fields).await);
}

/// It has taken effect, or will do so.
fn recorded(page: &Page) {
    assert!([200, 202].contains(&page.status), "{}: {}", page.status, page.text());
}

#[tokio::test]
#[ignore = "needs an older build: make test-upgrade"]
async fn what_an_older_worker_has_begun_todays_finishes() {
    hand_over(async |stack: &mut Stack| {
        let stopped = stack.stop_worker().await;
        assert_eq!(stopped.code, 0, "{}", stack.logs());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs an older build: make test-upgrade"]
async fn what_an_older_worker_has_begun_when_it_is_killed_todays_finishes() {
    hand_over(async |stack: &mut Stack| stack.kill_worker().await).await;
}

/// Today's worker takes over from an older one, which `end` ends.
async fn hand_over(end: impl AsyncFnOnce(&mut Stack)) {
    let answers = Arc::new(AtomicBool::new(false));
    let receiver = receiver_that_hangs_until(answers.clone()).await;
    let mut stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start_without_worker()
        .await;
    stack.run_as_worker(&older("countersign-worker"));
    let mut begun = Vec::new();
    for state in &STATES {
        begun.push(state.begin(&stack).await);
    }
    eventually("an outcome on its way", async || (!receiver.under_way().is_empty()).then_some(()))
        .await;
    end(&mut stack).await;
    assert_eq!(stack.mails_so_far(LATE).len(), 1, "the reminder is still to come");
    let taken = receiver.deliveries_so_far().into_iter().filter(|delivery| delivery.taken).count();
    assert_eq!(taken, 0, "so is the outcome");
    for (state, workflow) in STATES.iter().zip(&begun) {
        happens(&stack, workflow, state.between).await;
    }
    answers.store(true, Ordering::Relaxed);
    stack.start_worker();
    for (state, workflow) in STATES.iter().zip(&begun) {
        state.finish(&stack, workflow).await;
    }
}

async fn receiver_that_hangs_until(answers: Arc<AtomicBool>) -> Receiver {
    Receiver::that_decides(move |_, _| match answers.load(Ordering::Relaxed) {
        true => Answer::Takes(Duration::ZERO),
        false => Answer::Hangs,
    })
    .await
}

#[tokio::test]
#[ignore = "needs an older build: make test-upgrade"]
async fn an_older_signaler_serves_the_links_of_todays_worker() {
    let mut stack = Stack::start().await;
    stack.stop_signaler().await;
    stack.run_as_signaler(&older("countersign-signaler"));
    stack.until_ready().await;
    by_links(&stack).await;
}

#[tokio::test]
#[ignore = "needs an older build: make test-upgrade"]
async fn todays_signaler_serves_the_links_of_an_older_worker() {
    let mut stack = Stack::beside(Temporal::shared().await).start_without_worker().await;
    stack.run_as_worker(&older("countersign-worker"));
    by_links(&stack).await;
}

async fn by_links(stack: &Stack) {
    for story in &BY_LINKS {
        let workflow = story.begin(stack).await;
        story.finish(stack, &workflow).await;
    }
}

/// Its own recorder is run, which knows every kind of approval that the older build has.
#[tokio::test]
#[ignore = "needs an older build: make test-upgrade"]
async fn every_history_that_an_older_build_records_replays() {
    let (folder, python) = (scratch("recorded-"), tool("python"));
    let mut record = tokio::process::Command::new(older("record_histories"));
    record
        .arg(folder.path())
        .env("COUNTERSIGN_TEST_TOOLS", python.ancestors().nth(2).expect("the tools' folder"))
        // They replay without keys.
        .env_remove("COUNTERSIGN_TEST_ENCRYPTED")
        .kill_on_drop(true);
    let recorded = record.output().await.expect("the recorder runs");
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    let files = fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("a file"));
    let paths: Vec<_> = files.map(|file| file.path()).collect();
    assert!(!paths.is_empty(), "no history was recorded");
    for path in paths {
        let replayed = replay_json(&fs::read(&path).expect("readable")).await;
        replayed.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    }
}
