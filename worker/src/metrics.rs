//! The worker's metrics. docs/OPERATE.md lists them, and a test holds that list equal to this one.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use countersign_protos::{LinkKeys, names, v1::Outcome};
use countersign_telemetry::{
    metrics::{Counter, Gauge, Histogram, InFlight, Label, Metrics, SECONDS},
    program::Program,
};

use crate::approval::{By, Vote};

/// Seconds that people take: from a minute to 30 days.
const DECISIONS: [f64; 12] = [
    60.0,
    300.0,
    900.0,
    3_600.0,
    14_400.0,
    28_800.0,
    86_400.0,
    172_800.0,
    259_200.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
];

const VERDICT: Label = Label::of("verdict", &["approve", "reject", "request_changes"]);
const BY: Label = Label::of("by", &[names::BY_LINK, names::BY_OPERATOR]);
const STATUS: Label = Label::of("status", &["APPROVED", "REJECTED", "EXPIRED", "WITHDRAWN"]);
const BASIS: Label = Label::of("basis", &["people", "rule", "deadline", "withdrawal"]);
const SUBMISSION: Label = Label::of("result", &["accepted", "refused"]);
const MAIL: Label = Label::of(
    "kind",
    &[
        "request",
        "reminder",
        "started",
        "unreachable",
        "changes",
        "revised",
        "superseded",
        "decided",
        "outcome",
    ],
);
const MAILED: Label = Label::of("result", &["sent", "refused", "failed", "delayed"]);
const DELIVERED: Label = Label::of("result", &["accepted", "gone", "refused", "unreachable"]);
const STARTED: Label = Label::of("result", &["started", "refused", "failed"]);
const COUNTED: Label = Label::of("result", &["counted", "failed"]);
const ACTIVITY: Label = Label::of(
    "activity",
    &[
        "validate_submission",
        "issue_links",
        "conclude",
        "request_approval",
        "announce_decision",
        "process_decision",
        "start_workflow",
    ],
);
const FAILURE: Label = Label::of(
    "failure",
    &[
        "HistoryUnavailable",
        "LinkKeyMissing",
        "MailRejected",
        "MailUnavailable",
        "NamespaceUnavailable",
        "NewerVersion",
        "NotAnApproval",
        "NotGenuine",
        "Unreadable",
        "WebhookGone",
        "WebhookMissing",
        "WebhookRefused",
        "WorkflowRefused",
    ],
);

/// All of them, for the life of the process. Counting costs an atomic addition, whether somebody looks or not.
pub(crate) fn metrics() -> &'static WorkerMetrics {
    static ALL: LazyLock<WorkerMetrics> = LazyLock::new(WorkerMetrics::new);
    &ALL
}

pub(crate) struct WorkerMetrics {
    pub(crate) all: Metrics,
    pub(crate) process: Process,
    pub(crate) approvals: Approvals,
    pub(crate) mails: Mails,
    pub(crate) consequences: Consequences,
    pub(crate) index: Index,
}

impl WorkerMetrics {
    fn new() -> Self {
        let mut all = Metrics::default();
        Self {
            process: Process::new(&mut all),
            approvals: Approvals::new(&mut all),
            mails: Mails::new(&mut all),
            consequences: Consequences::new(&mut all),
            index: Index::new(&mut all),
            all,
        }
    }
}

/// What the process is, and what it goes by.
pub(crate) struct Process {
    program: Program,
    policy: Gauge<1>,
    reloaded: Gauge<0>,
    failed_attempts: Counter<2>,
}

impl Process {
    fn new(all: &mut Metrics) -> Self {
        Self {
            program: Program::new(all, "worker"),
            policy: all.gauge(
                "countersign_policy_info",
                "1, with the routing rules in force. All workers should have the same.",
                [Label::own("hash", "of the rules file and the calendars that it names")],
            ),
            reloaded: all.gauge(
                "countersign_policy_last_reload_successful",
                "1 if the rules file was taken when it was last read; 0 if it has errors, and earlier \
                 rules are in force.",
                [],
            ),
            failed_attempts: all.counter(
                "countersign_failed_attempts_total",
                "Attempts of activities that failed, by the type of the failure in the history.",
                [ACTIVITY, FAILURE],
            ),
        }
    }

    /// The process has begun, with these keys.
    pub(crate) fn started(&self, keys: &LinkKeys) {
        self.program.started(env!("CARGO_PKG_VERSION"), keys);
    }

    /// These rules are in force.
    pub(crate) fn in_force(&self, hash: &str) {
        self.policy.tell([[hash]]);
        self.reloaded.set([], 1.0);
    }

    /// The rules file has errors.
    pub(crate) fn not_reloaded(&self) {
        self.reloaded.set([], 0.0);
    }

    pub(crate) fn failed(&self, activity: &str, failure: &str) {
        self.failed_attempts.add([activity, failure]);
    }
}

/// What people and rules decide.
pub(crate) struct Approvals {
    submissions: Counter<1>,
    revisions: Counter<2>,
    decisions: Counter<2>,
    outcomes: Counter<2>,
    time_to_decision: Histogram<1>,
    escalations: Counter<0>,
    delegations: Counter<0>,
}

impl Approvals {
    fn new(all: &mut Metrics) -> Self {
        Self {
            submissions: all.counter(
                "countersign_submissions_total",
                "Submissions that were read: as an approval, or as one that cannot be decided.",
                [SUBMISSION],
            ),
            revisions: all.counter(
                "countersign_revisions_total",
                "Submissions that were to take the place of another, and whether they came by the submitter's \
                 link or by an operator's signal.",
                [SUBMISSION, BY],
            ),
            decisions: all.counter(
                "countersign_decisions_total",
                "Decisions of people that count, and whether they came by a link or by an operator's \
                 signal.",
                [VERDICT, BY],
            ),
            outcomes: all.counter(
                "countersign_outcomes_total",
                "Approvals that came to their end, and what decided them.",
                [STATUS, BASIS],
            ),
            time_to_decision: all.histogram(
                "countersign_time_to_decision_seconds",
                "From the submission to the outcome.",
                [STATUS],
                &DECISIONS,
            ),
            escalations: all.counter(
                "countersign_escalations_total",
                "Times that a stage asked its next level.",
                [],
            ),
            delegations: all.counter(
                "countersign_delegations_total",
                "Times that a reviewer had a colleague asked in their place.",
                [],
            ),
        }
    }

    pub(crate) fn delegated(&self) {
        self.delegations.add([]);
    }

    pub(crate) fn submitted(&self, is_valid: bool) {
        self.submissions.add([if is_valid { "accepted" } else { "refused" }]);
    }

    pub(crate) fn revised(&self, by: &str, is_valid: bool) {
        self.revisions.add([if is_valid { "accepted" } else { "refused" }, by]);
    }

    pub(crate) fn decided(&self, vote: &Vote) {
        self.decisions.add([vote.verdict.terms().name, came_by(&vote.by)]);
    }

    pub(crate) fn concluded(&self, outcome: &Outcome, took: Duration) {
        let status = outcome.status().as_str_name();
        self.outcomes.add([status, &outcome.basis]);
        self.time_to_decision.record([status], took);
    }

    pub(crate) fn escalated(&self) {
        self.escalations.add([]);
    }
}

/// Mails, reminders among them.
pub(crate) struct Mails {
    mails: Counter<2>,
    duration: Histogram<1>,
    pub(crate) in_flight: InFlight,
}

impl Mails {
    fn new(all: &mut Metrics) -> Self {
        Self {
            mails: all.counter(
                "countersign_mails_total",
                "Attempts to send a mail: sent, refused for good, failed and tried again, or delayed by \
                 COUNTERSIGN_MAIL_RATE.",
                [MAIL, MAILED],
            ),
            duration: all.histogram(
                "countersign_mail_duration_seconds",
                "How long attempts to send a mail take, waiting for COUNTERSIGN_MAIL_RATE included.",
                [MAILED],
                &SECONDS,
            ),
            in_flight: all
                .in_flight("countersign_mails_in_flight", "Mails that are being sent now."),
        }
    }

    pub(crate) fn ended(&self, kind: &str, result: &str, began: Instant) {
        self.mails.add([kind, result]);
        self.duration.record([result], began.elapsed());
    }
}

/// What acts on an outcome.
pub(crate) struct Consequences {
    webhooks: Counter<1>,
    duration: Histogram<1>,
    pub(crate) in_flight: InFlight,
    follow_ups: Counter<1>,
}

impl Consequences {
    fn new(all: &mut Metrics) -> Self {
        Self {
            webhooks: all.counter(
                "countersign_webhooks_total",
                "Deliveries to the webhook. All but accepted and gone are tried again.",
                [DELIVERED],
            ),
            duration: all.histogram(
                "countersign_webhook_duration_seconds",
                "How long deliveries to the webhook take.",
                [DELIVERED],
                &SECONDS,
            ),
            in_flight: all.in_flight(
                "countersign_webhooks_in_flight",
                "Deliveries to the webhook that wait for its answer now; at most 20.",
            ),
            follow_ups: all.counter(
                "countersign_follow_ups_total",
                "Attempts to start a follow-up workflow in another namespace.",
                [STARTED],
            ),
        }
    }

    pub(crate) fn delivered(&self, result: &str, began: Instant) {
        self.webhooks.add([result]);
        self.duration.record([result], began.elapsed());
    }

    pub(crate) fn started(&self, result: &str) {
        self.follow_ups.add([result]);
    }
}

/// What Temporal's search index counts.
pub(crate) struct Index {
    pub(crate) open: Gauge<0>,
    pub(crate) overdue: Gauge<0>,
    pub(crate) undeliverable: Gauge<0>,
    pub(crate) counts: Counter<1>,
}

impl Index {
    fn new(all: &mut Metrics) -> Self {
        Self {
            open: all.gauge(
                "countersign_approvals_open",
                "Approvals on this task queue that wait for a decision, once a minute. Each worker serves \
                 the same number.",
                [],
            ),
            overdue: all.gauge(
                "countersign_approvals_overdue",
                "Those of them whose deadline has passed a minute ago or more, and had no effect yet.",
                [],
            ),
            undeliverable: all.gauge(
                "countersign_approvals_undeliverable",
                "Approvals of which a mail, a follow-up workflow or the webhook was refused for good: \
                 those that run, and those that closed within a day.",
                [],
            ),
            counts: all.counter(
                "countersign_counts_total",
                "Queries for the three numbers above. Where one fails, its number is not served.",
                [COUNTED],
            ),
        }
    }
}

/// How a decision came.
pub(crate) fn came_by(by: &By) -> &'static str {
    match by {
        By::Link(_) => names::BY_LINK,
        By::Operator(_) => names::BY_OPERATOR,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn docs_operate_md_lists_what_the_worker_serves() {
        let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATE.md"));
        let table = metrics().all.table();
        assert!(docs.expect("the documentation").contains(&table), "it has to have:\n{table}");
    }

    #[test]
    fn of_what_others_may_name_nothing_becomes_a_label() {
        let metrics = WorkerMetrics::new();
        metrics.process.failed("request_approval", "MailRejected");
        metrics.process.failed("anybody's activity", "ann@example.com was refused");
        metrics.mails.ended("request to ann@example.com", "sent", Instant::now());
        let page = metrics.all.page();
        assert!(!page.contains("ann@example.com") && !page.contains("anybody"), "{page}");
        for line in [
            "{activity=\"request_approval\",failure=\"MailRejected\"} 1",
            "{activity=\"other\",failure=\"other\"} 1",
            "{kind=\"other\",result=\"sent\"} 1",
        ] {
            assert!(page.contains(line), "{line} is missing in {page}");
        }
    }
}
