use std::io::Write;

use temporalio_sdk::activities::{ActivityDefinitions, ActivityImplementer};
use tokio::time::advance;
use tracing::subscriber::{DefaultGuard, set_default};

use super::*;
use crate::activities::Countersign;

fn caller<'a>(activity: &'a str, is_local: bool, workflow: Option<&'a str>) -> Caller<'a> {
    Caller { activity, is_local, workflow_type: workflow, namespace: "payments" }
}

#[test]
fn activities_serve_only_approvals_in_their_own_namespace() {
    for activity in LOCAL.iter().chain(&REGULAR) {
        let inside = LOCAL.contains(activity);
        let approval = Some("ApprovalWorkflow");
        let own = |caller: Caller<'_>| caller.check(Some("payments"));
        own(caller(activity, inside, approval)).expect("an approval calls");
        caller(activity, inside, approval).check(None).expect("the namespace is not known");
        let notices = own(caller(activity, inside, Some("ApprovalNotices")));
        assert_eq!(notices.is_ok(), *activity == "announce_decision", "{activity}");
        for (who, asks) in [
            ("nobody", caller(activity, inside, None)),
            ("nobody, as a regular activity", caller(activity, false, None)),
            ("another workflow", caller(activity, inside, Some("Rogue"))),
            ("a workflow with a similar name", caller(activity, inside, Some("approvalworkflow"))),
            ("an approval, in the wrong way", caller(activity, !inside, approval)),
        ] {
            let why = own(asks).expect_err(who);
            assert!(why.starts_with(activity) && why.contains("ApprovalWorkflow"), "{why}");
        }
        let foreign = caller(activity, inside, approval).check(Some("default"));
        foreign.expect_err("an approval of another namespace");
    }
    let theirs = caller("charge_card", false, Some("Purchase"));
    theirs.check(Some("payments")).expect("not ours to check");
}

#[test]
fn every_registered_activity_is_checked() {
    fn registered<A: ActivityImplementer>(instance: Arc<A>) -> ActivityDefinitions {
        let mut activities = ActivityDefinitions::default();
        instance.register_all(&mut activities);
        activities
    }
    let countersign = Countersign {
        routing: Default::default(),
        policy: None,
        link_keys: countersign_protos::TEST_KEYS[0].parse().expect("a key"),
        public_url: "https://a.example".parse().expect("a URL"),
        organization: None,
        notifier: crate::notifier::Notifier::Outbox(crate::notifier::Outbox::new(
            "outbox".into(),
            "approvals@example.com".parse().expect("an address"),
        )),
        mail_rate: None,
        webhook: None,
    };
    let shown = format!("{:?}", registered(Arc::new(countersign)));
    let known = LOCAL.iter().chain(&REGULAR);
    assert!(known.clone().all(|name| shown.contains(&format!("\"{name}\""))), "{shown}");
    assert_eq!(shown.matches('"').count(), 2 * known.count(), "one is not checked: {shown}");
}

#[test]
fn backoff_grows_up_to_the_policys_maximum() {
    let policy = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(300))
        .build();
    let waits = [1, 2, 3, 9, 10, 1_000, u32::MAX].map(|attempt| backoff(&policy, attempt));
    assert_eq!(waits.map(|wait| wait.as_secs()), [1, 2, 4, 256, 300, 300, 300]);
}

/// Captures this thread's log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> DefaultGuard {
        let log = self.clone();
        let writer = move || log.clone();
        let lines = tracing_subscriber::fmt().with_writer(writer).with_ansi(false);
        set_default(lines.without_time().finish())
    }

    /// The lines since the last call.
    fn lines(&self) -> Vec<String> {
        let written = std::mem::take(&mut *self.0.lock().expect("not poisoned"));
        let written = String::from_utf8(written).expect("UTF-8");
        let target = " WARN countersign_worker::activities::attempts: ";
        written.lines().map(|line| line.replace(target, "")).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn failed(workflow: &str, cause: &str) -> FailedAttempt {
    FailedAttempt {
        workflow_id: workflow.to_owned(),
        what: "webhook".to_owned(),
        attempt: 3,
        cause: cause.to_owned(),
        is_final: false,
    }
}

/// Advances the clock, and lets other tasks run before and after.
async fn later(time: Duration) {
    tokio::task::yield_now().await;
    advance(time).await;
    tokio::task::yield_now().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_cause_is_logged_once_a_second_with_how_many_were_left_out() {
    let (log, failures) = (Log::default(), Failures::default());
    let _listening = log.listen();
    for i in 1..=100 {
        failures.note(failed(&format!("po-{i}"), "the webhook answered 503"));
    }
    failures.note(FailedAttempt { is_final: true, ..failed("po-7", "the webhook answered 410") });
    assert_eq!(
        log.lines(),
        [
            r#"failed, will be retried workflow_id="po-1" what="webhook" attempt=3 cause="the webhook answered 503""#,
            r#"failed, not retried workflow_id="po-7" what="webhook" attempt=3 cause="the webhook answered 410""#,
        ]
    );
    later(LOG_EVERY).await;
    assert_eq!(
        log.lines(),
        [
            r#"failed, will be retried workflow_id="po-100" what="webhook" attempt=3 cause="the webhook answered 503" left_out=98"#
        ]
    );
    failures.note(failed("po-101", "the webhook answered 503"));
    assert_eq!(log.lines(), [""; 0], "a second has not passed");
    later(LOG_EVERY).await;
    let lines = log.lines();
    assert!(lines.len() == 1 && lines[0].contains("po-101"), "{lines:?}");
    later(LOG_EVERY).await;
    assert_eq!(log.lines(), [""; 0]);
    assert!(failures.recent().is_empty(), "the cause is forgotten");
    failures.note(failed("po-102", "the webhook answered 503"));
    assert_eq!(log.lines().len(), 1, "a new failure is logged at once");
}
