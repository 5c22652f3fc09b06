//! Worker and signaler are asked to stop while there is much to do.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use countersign_e2e::{
    MailServer, Reader, Stack, Temporal, Workflow, eventually, list, scratch, submission, text,
};

const APPROVALS: usize = 40;
/// After so many recorded decisions the stop is asked for.
const EARLY: usize = 8;
/// How long the mail server takes for each mail; it takes four at a time. For all that is under way
/// at the stop it would need longer than there is.
const SLOW: Duration = Duration::from_millis(1_200);
/// How soon both have to be gone.
const IN_TIME: Duration = Duration::from_secs(10);

#[tokio::test]
async fn both_stop_in_time_amid_mails_and_presses_and_nothing_is_lost() {
    let dir = scratch("stops-");
    let server = MailServer::start_slow(SLOW, dir.path()).await;
    let mut stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_NOTIFY", server.url())
        .start()
        .await;
    let grpc = stack.temporal.grpc().await;
    let mut workflows: Vec<Workflow> = Vec::new();
    for number in 0..APPROVALS {
        let expense = submission::expense(&[&reviewer(number)]).to_string();
        let id = stack.new_workflow_id();
        grpc.start(&stack.queue, &id, vec![countersign_e2e::payload("json/plain", expense)]).await;
        workflows.push(stack.temporal.workflow(&id));
    }

    let people = People::default();
    let reader = stack.reader();
    let (pressing, stopping) = (people.press_all(&server, &reader), async {
        eventually("the first decisions", async || (people.recorded() >= EARLY).then_some(()))
            .await;
        let delivered = server.delivered();
        let asked = delivered.iter().filter(|mail| mail.to != ["sam@example.com"]).count();
        assert!(asked < APPROVALS, "{asked} requests were out before the stop");
        let exits = stack.stop().await;
        for exit in exits {
            assert_eq!(exit.code, 0, "{exit:?}: {}", stack.logs());
            assert!(exit.took < IN_TIME, "{exit:?}");
        }
        stack.start_signaler();
        stack.start_worker();
    });
    tokio::join!(pressing, stopping);

    for (number, workflow) in workflows.iter().enumerate() {
        let outcome = workflow.outcome().await;
        let expected = if verdict(number) == "approve" { "APPROVED" } else { "REJECTED" };
        assert_eq!(outcome["status"], expected, "{outcome}");
        let comments: Vec<String> =
            list(&outcome["stages"][0]["decisions"]).map(|each| text(&each["comment"])).collect();
        assert_eq!(comments, [comment(number)], "{outcome}");
    }
    // One of each outcome, and some twice: whoever was stopped may have sent them.
    let told = server.delivered().iter().filter(|mail| mail.to == ["sam@example.com"]).count();
    assert!(told >= APPROVALS, "{told} mails to the submitter of {APPROVALS}");
}

fn reviewer(number: usize) -> String {
    format!("reviewer-{number}@example.com")
}

fn verdict(number: usize) -> &'static str {
    ["approve", "reject"][number % 2]
}

fn comment(number: usize) -> String {
    format!("decision {number}")
}

/// All reviewers: each presses as soon as there is a mail, again and again until told that it is
/// recorded.
#[derive(Default)]
struct People(AtomicUsize);

impl People {
    fn recorded(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    async fn press_all(&self, server: &MailServer, reader: &Reader) {
        let each = (0..APPROVALS).map(|number| self.press(number, server, reader));
        futures_util::future::join_all(each).await;
    }

    async fn press(&self, number: usize, server: &MailServer, reader: &Reader) {
        let mail = server.mails_to(&reviewer(number), 1).await.swap_remove(0).mail;
        let link = mail.link(verdict(number));
        eventually(format!("decision {number} to be recorded"), async || {
            let page = reader.try_press(&link, verdict(number), &comment(number)).await?;
            let recorded = page.status == 200 || page.status == 202;
            assert!(recorded || page.status == 503, "{}: {}", page.status, page.text());
            recorded.then_some(())
        })
        .await;
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
