//! Whoever watches an installation sees how it is and what it does, and nothing of what people decide on.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use countersign_e2e::{
    Collector, Receiver, Span, Stack, Temporal, eventually, json_payload, payload, submission,
    text, tool,
};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::Header;

/// As a starter's SDK writes it, in Python, TypeScript, Go or Rust.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const STARTER: &str = "00f067aa0ba902b7";
const COMMENT: &str = "only this once, and cheaper";

#[tokio::test]
async fn one_trace_leads_from_the_start_to_the_webhook_and_another_from_a_press_to_its_signal() {
    let (collector, receiver) = (Collector::start().await, Receiver::refusing(1).await);
    let stack = Stack::beside(Temporal::shared().await)
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .with("OTEL_BSP_SCHEDULE_DELAY", "100")
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", countersign_protos::TEST_WEBHOOK_SECRETS[0])
        .start()
        .await;
    let context = json!({"traceparent": format!("00-{TRACE}-{STARTER}-01")});
    let fields = [("_tracer-data".to_owned(), json_payload(&context))].into();
    let (id, grpc) = (stack.new_workflow_id(), stack.temporal.grpc().await);
    let input = vec![json_payload(&submission::expense(&["ann@example.com"]))];
    let traced = Some(Header { fields });
    grpc.start_with(&stack.queue, &id, input, |request| request.header = traced).await;
    let mail = stack.mail_to("ann@example.com").await;
    stack.press(&mail.link("approve"), "approve", COMMENT).await.expect(200, &["approved"]);
    let deliveries = receiver.deliveries_until_taken().await;
    stack.temporal.workflow(&id).outcome().await;

    let of_starter = [
        "RunWorkflow:ApprovalWorkflow",
        "RunActivity:validate_submission",
        "RunActivity:issue_links",
        "RunActivity:request_approval",
        "mail",
        "RunActivity:conclude",
        "RunActivity:process_decision",
        "POST",
        "RunActivity:announce_decision",
    ];
    let of_press =
        ["POST /a/{approval-id}/{workflow-id}", "SignalWorkflow:approve", "HandleSignal:approve"];
    let spans = collector.spans_with(&[&of_starter[..], &of_press[..]].concat()).await;
    for name in of_starter {
        let path = path(&spans, name);
        assert_eq!(path.last().expect("a span").parent, STARTER, "{name}: {path:?}");
        assert!(path.iter().all(|span| span.trace == TRACE), "{path:?}");
    }
    for (attempt, delivery) in deliveries.iter().enumerate() {
        let traceparent = delivery.header("traceparent");
        let [_, trace, span, _] = traceparent.split('-').collect::<Vec<_>>()[..] else {
            panic!("{attempt}: {traceparent:?}");
        };
        assert_eq!(trace, TRACE);
        let sent = spans.iter().find(|known| known.id == span).expect("a span of this delivery");
        assert_eq!(sent.name, "POST");
    }
    let press = path(&spans, "HandleSignal:approve");
    let names: Vec<&str> = press.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["HandleSignal:approve", of_press[1], of_press[0]]);
    assert_eq!(press[2].parent, "", "what a browser says of a trace is not believed");
    assert_ne!(press[0].trace, TRACE);

    let sent = String::from_utf8_lossy(&collector.bytes()).into_owned();
    for secret in [&*mail.approval_id(), COMMENT, "ann@example.com", "Train to the fair", "/hook"] {
        assert!(!sent.contains(secret), "{secret} is in a trace");
    }
    assert!(sent.contains(&id), "which workflow it was");
}

/// A span of this name, and those that it is part of, from the inside out.
fn path<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    let first = spans.iter().find(|span| span.name == name);
    let within = |inner: &&'a Span| spans.iter().find(|outer| outer.id == inner.parent);
    std::iter::successors(first, within).collect()
}

#[tokio::test]
async fn without_a_starters_context_an_approval_has_a_trace_of_its_own_also_after_a_replay() {
    let collector = Collector::start().await;
    let mut stack = Stack::beside(Temporal::shared().await)
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .with("OTEL_BSP_SCHEDULE_DELAY", "100")
        .start()
        .await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    stack.mail_to("ann@example.com").await;
    workflow.until_asked().await;
    let before = collector.spans_with(&["RunActivity:request_approval"]).await;
    stack.kill_worker().await;
    stack.start_worker();
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    workflow.outcome().await;
    let after = collector.spans_with(&["RunActivity:announce_decision"]).await;
    let trace = |spans: &[Span], name: &str| path(spans, name)[0].trace.clone();
    let before = trace(&before, "RunActivity:request_approval");
    assert_eq!(trace(&after, "RunActivity:announce_decision"), before);
}

#[tokio::test]
async fn metrics_say_what_is_done_pass_promtool_and_name_nobody() {
    let receiver = Receiver::refusing(0).await;
    let stack = Stack::beside(Temporal::shared().await)
        .with_metrics()
        .with("COUNTERSIGN_LOG_FORMAT", "json")
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", countersign_protos::TEST_WEBHOOK_SECRETS[0])
        .start()
        .await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let bad = vec![payload("json/plain", "{}")];
    stack.temporal.grpc().await.start(&stack.queue, &stack.new_workflow_id(), bad).await;
    let mail = stack.mail_to("ann@example.com").await;
    stack.press(&mail.link("approve"), "approve", COMMENT).await.expect(200, &["approved"]);
    workflow.outcome().await;
    stack.mail_to("sam@example.com").await;

    let worker = [
        "countersign_build_info{program=\"worker\",version=",
        "countersign_link_key_info{fingerprint=",
        "countersign_submissions_total{result=\"accepted\"} 1\n",
        "countersign_submissions_total{result=\"refused\"} 1\n",
        "countersign_decisions_total{by=\"link\",verdict=\"approve\"} 1\n",
        "countersign_outcomes_total{basis=\"people\",status=\"APPROVED\"} 1\n",
        "countersign_time_to_decision_seconds_count{status=\"APPROVED\"} 1\n",
        "countersign_mails_total{kind=\"request\",result=\"sent\"} 1\n",
        "countersign_mails_total{kind=\"outcome\",result=\"sent\"} 1\n",
        "countersign_mails_in_flight 0\n",
        "countersign_webhooks_total{result=\"accepted\"} 1\n",
        "countersign_approvals_open ",
        "temporal_workflow_completed_total{",
        "temporal_workflow_task_execution_latency_seconds_bucket{",
    ];
    let worker = served(&stack, "worker", &worker).await;
    let signaler = [
        "countersign_build_info{program=\"signaler\",version=",
        "countersign_presses_total{answer=\"recorded\"} 1\n",
        "countersign_http_request_duration_seconds_count{code=\"2xx\",route=\"/a/{approval-id}/{workflow-id}\"} 1\n",
        "countersign_temporal_reachable 1\n",
        "temporal_request_total{",
    ];
    let signaler = served(&stack, "signaler", &signaler).await;
    for (part, page) in [("worker", worker), ("signaler", signaler)] {
        let id = mail.approval_id();
        let title = "Train to the fair";
        for secret in [
            &*id,
            "example.com",
            &workflow.id,
            title,
            COMMENT,
            stack.setting("COUNTERSIGN_LINK_KEYS"),
        ] {
            assert!(!page.contains(secret), "{secret} is in the {part}'s metrics");
        }
        let (is_good, said) = promtool(&page);
        assert!(is_good, "promtool check metrics says of the {part}: {said}");
    }
    assert_eq!(stack.watch("worker", "/healthz").await.body, "ok\n");
    assert_eq!(stack.watch("worker", "/readyz").await.body, "ok\n");
    one_line_each(&stack, &workflow.id).await;
}

/// The page, once it has all of these.
async fn served(stack: &Stack, part: &str, lines: &[&str]) -> String {
    countersign_e2e::until(
        std::time::Duration::from_secs(30),
        format!("{part}'s metrics"),
        async || {
            let page = stack.watch(part, "/metrics").await.body;
            let missing: Vec<_> = lines.iter().filter(|line| !page.contains(**line)).collect();
            if missing.is_empty() {
                Ok(page)
            } else {
                Err(format!("{missing:?} missing in {page}"))
            }
        },
    )
    .await
}

/// Whether a page follows Prometheus's rules, and what is wrong with it.
fn promtool(page: &str) -> (bool, String) {
    let mut check = Command::new(tool("promtool"));
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.stdout(Stdio::null()).spawn().expect("promtool runs");
    check.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("it reads");
    let done = check.wait_with_output().expect("it ends");
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

/// A decision is one line of the worker's log, which says who, how and in which stage. The signaler's line about the
/// press has the same workflow and link.
async fn one_line_each(stack: &Stack, workflow_id: &str) {
    let lines = |log: String, message: &str| -> Vec<Value> {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let fields = lines.map(|mut line| line["fields"].take());
        let is_it = |it: &Value| it["message"] == message && it["workflow_id"] == workflow_id;
        fields.filter(is_it).collect()
    };
    let presses = eventually("the signaler's line", async || {
        let presses = lines(stack.signaler().log(), "press");
        (!presses.is_empty()).then_some(presses)
    })
    .await;
    let decisions = lines(stack.worker().log(), "decision");
    let ([decision], [press]) = (&decisions[..], &presses[..]) else {
        panic!("one line each, and not {decisions:?} and {presses:?}");
    };
    let said = ["reviewer", "verdict", "by", "stage"].map(|field| text(&decision[field]));
    assert_eq!(said[..3], ["ann@example.com", "approve", "link"]);
    assert!(!said[3].is_empty(), "{decision}");
    assert_eq!((&press["link"], &press["verdict"]), (&decision["link"], &decision["verdict"]));
    assert_eq!(press["answer"], "recorded");
    let outcomes = lines(stack.worker().log(), "outcome");
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert_eq!(
        (&outcomes[0]["status"], &outcomes[0]["basis"]),
        (&json!("APPROVED"), &json!("people"))
    );
}
