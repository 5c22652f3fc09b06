//! The signaler's metrics. docs/OPERATE.md lists them, and a test holds that list equal to this one.

use std::{sync::LazyLock, time::Duration};

use countersign_protos::LinkKeys;
use countersign_telemetry::{
    metrics::{Counter, Gauge, Histogram, Label, Metrics, SECONDS},
    program::Program,
};

/// The names that answers to a press have in JSON.
const ANSWERS: [&str; 28] = [
    "recorded",
    "delegated",
    "already_recorded",
    "other_verdict",
    "too_late",
    "accepted",
    "sealing",
    "unconfirmed",
    "superseded",
    "resubmitted",
    "withdrawn_by_you",
    "paused",
    "revised",
    "outdated",
    "not_revisable",
    "not_by_this_link",
    "expired",
    "withdrawn",
    "ended",
    "gone",
    "newer",
    "invalid",
    "unsupported_media_type",
    "too_large",
    "incomplete",
    "too_many_requests",
    "nothing_recorded",
    "unknown",
];
const ANSWER: Label = Label::of("answer", &ANSWERS);
const RESULT: Label = Label::of("result", &["cached", "found", "gone", "newer", "unavailable"]);
const ROUTE: Label = Label::of(
    "route",
    &[
        "/",
        "/a/{approval-id}",
        "/a/{approval-id}/{workflow-id}",
        "/.well-known/jwks.json",
        "/openapi.json",
        "/assets/{file}",
        "/healthz",
        "/readyz",
    ],
);
const CODE: Label = Label::of("code", &["2xx", "3xx", "4xx", "5xx"]);

/// All of them, for the life of the process. Counting costs an atomic addition, whether somebody looks or not.
pub(crate) fn metrics() -> &'static SignalerMetrics {
    static ALL: LazyLock<SignalerMetrics> = LazyLock::new(SignalerMetrics::new);
    &ALL
}

pub(crate) struct SignalerMetrics {
    pub(crate) all: Metrics,
    program: Program,
    reachable: Gauge<0>,
    presses: Counter<1>,
    lookups: Counter<1>,
    unknown_ids: Counter<0>,
    requests: Histogram<2>,
}

impl SignalerMetrics {
    fn new() -> Self {
        let mut all = Metrics::default();
        Self {
            program: Program::new(&mut all, "signaler"),
            reachable: all.gauge(
                "countersign_temporal_reachable",
                "1 if Temporal has answered the last time that it was asked, which is every two seconds; \
                 else 0.",
                [],
            ),
            presses: all.counter(
                "countersign_presses_total",
                "Decisions that were sent by a page, by the answer as JSON names it.",
                [ANSWER],
            ),
            lookups: all.counter(
                "countersign_lookups_total",
                "Look-ups of the workflow that issued a link, where the link does not name it: from memory, \
                 or in Temporal's search index.",
                [RESULT],
            ),
            unknown_ids: all.counter(
                "countersign_unknown_ids_total",
                "Approval IDs that none of this process's keys has made.",
                [],
            ),
            requests: all.histogram(
                "countersign_http_request_duration_seconds",
                "How long requests take, by their route and the class of the answer's status code.",
                [ROUTE, CODE],
                &SECONDS,
            ),
            all,
        }
    }

    /// The process has begun, with these keys.
    pub(crate) fn started(&self, keys: &LinkKeys) {
        self.program.started(env!("CARGO_PKG_VERSION"), keys);
    }

    /// Whether Temporal answers.
    pub(crate) fn reaches_temporal(&self, reaches: bool) {
        self.reachable.set([], f64::from(u8::from(reaches)));
    }

    pub(crate) fn pressed(&self, answer: &str) {
        self.presses.add([answer]);
    }

    pub(crate) fn looked_up(&self, result: &str) {
        self.lookups.add([result]);
    }

    pub(crate) fn met_unknown_id(&self) {
        self.unknown_ids.add([]);
    }

    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        self.requests.record([route, &format!("{}xx", status / 100)], took);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::{
        answer::{Answer, Ending},
        delegation_form::NotDelegated,
        problem::Problem,
        reply::{answer_status, problem_status},
    };

    #[test]
    fn docs_operate_md_lists_what_the_signaler_serves() {
        let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATE.md"));
        let table = metrics().all.table();
        assert!(docs.expect("the documentation").contains(&table), "it has to have:\n{table}");
    }

    #[test]
    fn each_answer_to_a_press_is_counted_by_its_name() {
        let answers = [
            Answer::Recorded,
            Answer::Delegated,
            Answer::DelegationStored,
            Answer::AlreadyRecorded,
            Answer::OtherVerdict,
            Answer::TooLate,
            Answer::Accepted,
            Answer::Sealing,
            Answer::Unconfirmed,
            Answer::Superseded,
            Answer::Expired,
            Answer::Withdrawn,
            Answer::Ended(Ending::Failed),
        ];
        let problems = [
            Problem::Gone,
            Problem::Newer,
            Problem::InvalidVerdict,
            Problem::CommentTooLong,
            Problem::NotDelegated(NotDelegated::ReasonMissing),
            Problem::NotAForm,
            Problem::BodyTooLarge,
            Problem::Incomplete,
            Problem::TooMany(Duration::ZERO),
            Problem::NothingRecorded,
            Problem::Unknown,
        ];
        let names = answers.map(|answer| answer_status(answer).1).into_iter();
        for name in names.chain(problems.iter().map(|problem| problem_status(problem).1)) {
            assert!(ANSWERS.contains(&name), "{name} is counted as another one");
        }
    }

    #[test]
    fn of_what_others_may_name_nothing_becomes_a_label() {
        let metrics = SignalerMetrics::new();
        metrics.answered("/a/7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T", 200, Duration::ZERO);
        metrics.answered("/a/{approval-id}", 999, Duration::ZERO);
        metrics.pressed("ann@example.com");
        let page = metrics.all.page();
        assert!(!page.contains("7K3Q") && !page.contains("ann@example.com"), "{page}");
        for line in ["_count{code=\"2xx\",route=\"other\"} 1", "{answer=\"other\"} 1"] {
            assert!(page.contains(line), "{line} is missing in {page}");
        }
    }
}
