//! What a run of the workflow starts from, according to its start event: a submission, or the case of the
//! run that it continues. Deterministic.

use countersign_protos::{
    Chain,
    payload::{PayloadError, encrypted_with},
    v1,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use temporalio_common::protos::{
    coresdk::workflow_activation::InitializeWorkflow,
    temporal::api::{common::v1::Payload, enums::v1::ContinueAsNewInitiator},
};

use crate::case::Case;

/// Marks an input as [`Continued`].
const CONTINUED: &str = "countersign.Continued";

/// The input of a run that continues another one: the case, and the submission for people who read the
/// history.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Continued {
    #[serde(flatten)]
    pub(crate) submission: v1::Submission,
    pub(crate) case: Case,
}

impl Continued {
    pub(crate) fn to_payload(&self) -> serde_json::Result<Payload> {
        let data = serde_json::to_vec(self)?;
        let name = |name: &str| name.as_bytes().to_vec();
        let metadata = [("encoding", name("json/plain")), ("messageType", name(CONTINUED))];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
        Ok(Payload { metadata, data, ..Default::default() })
    }
}

/// The approval that a run is one of, as the server says.
pub(crate) fn chain(start: &InitializeWorkflow) -> Chain<'_> {
    Chain { workflow_id: &start.workflow_id, first_run_id: &start.first_execution_run_id }
}

/// When the server ends this run, by a time-out of its own or of all runs.
pub(crate) fn times_out_at(start: &InitializeWorkflow) -> Option<Timestamp> {
    let expires = start.workflow_execution_expiration_time.as_ref();
    let expires = expires.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok());
    let began = start.start_time.as_ref();
    let began = began.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok());
    let run = start.workflow_run_timeout.as_ref();
    let run = run.map(|timeout| SignedDuration::new(timeout.seconds, timeout.nanos));
    let ends = began.zip(run.filter(SignedDuration::is_positive));
    let ends = ends.and_then(|(began, run)| began.checked_add(run).ok());
    // A server may write one that is not set as the beginning of 1970.
    expires.filter(|at| *at > Timestamp::UNIX_EPOCH).into_iter().chain(ends).min()
}

/// What a run starts from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Still to be read and validated.
    Submission,
    /// The state that the run before left.
    Case(Box<Case>),
}

/// Why a run cannot start. A retry would not help.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Temporal would start the same approval again and again, each run as the continuation of another.
    #[error(
        "an approval cannot run on a cron schedule ({0:?}): start it without one, or use a Temporal \
         Schedule, which starts a new approval each time. Temporal keeps starting runs of this one \
         until the workflow is terminated"
    )]
    CronSchedule(String),
    /// After a time-out, the approval would start over without its votes.
    #[error(
        "an approval cannot have a workflow retry policy: start it without one. The worker itself \
         retries mails, webhooks and follow-up workflows"
    )]
    RetryPolicy,
    /// The state of the run before, of which only the worker's keys can tell whether it is one.
    #[error("the state that this run continues: {0}")]
    Encrypted(PayloadError),
    /// Only the worker writes such an input, for the next run.
    #[error(
        "the input is the state of an earlier run, but this run does not continue one: start it with \
         a submission"
    )]
    ContinuesNothing,
    /// What a first run was started with cannot be altered; what another one goes on with is anybody's, and
    /// would count as the same approval.
    #[error(
        "this run continues another one, but without its state: start a workflow with the submission, \
         which then begins with a first run"
    )]
    WithoutState,
    /// Another workflow's state, put into this one.
    #[error("the state that this run continues is that of another approval, or of none")]
    AnotherApproval,
    /// The worker never writes such a plan.
    #[error("the plan cannot be used: {0}")]
    Plan(String),
    /// The worker never writes such a case.
    #[error("the state that this run continues is inconsistent: its open stage waits for nobody")]
    Contradictory,
    /// Starting over would lose the votes.
    #[error(
        "this worker cannot read the state that the run {run} left: {cause}. If a newer worker wrote \
         it, run only newer workers, and then reset this run to its first workflow task"
    )]
    Unreadable {
        /// The ID of the run before.
        run: String,
        cause: String,
    },
}

impl Origin {
    /// Reads a start event and its input.
    ///
    /// # Errors
    /// If no approval can start from it.
    pub(crate) fn of(start: &InitializeWorkflow, input: &[Payload]) -> Result<Self, Refused> {
        if !start.cron_schedule.is_empty() {
            return Err(Refused::CronSchedule(start.cron_schedule.clone()));
        }
        // A policy of one attempt is as good as none.
        if start.retry_policy.as_ref().is_some_and(|policy| policy.maximum_attempts != 1) {
            return Err(Refused::RetryPolicy);
        }
        let run = start.continued_from_execution_run_id.clone();
        let is_state = |input: &Payload| {
            input.metadata.get("messageType").is_some_and(|name| name == CONTINUED.as_bytes())
        };
        let encrypted = || input.first().and_then(|input| encrypted_with(&input.metadata));
        let input = match input {
            [input] if is_state(input) => input,
            _ if run.is_empty() => return Ok(Self::Submission),
            _ => match encrypted() {
                Some(key) => return Err(Refused::Encrypted(PayloadError::Encrypted(key))),
                None => return Err(Refused::WithoutState),
            },
        };
        if run.is_empty() || start.continued_initiator() != ContinueAsNewInitiator::Workflow {
            return Err(Refused::ContinuesNothing);
        }
        let chain = chain(start);
        match serde_json::from_slice::<Continued>(&input.data) {
            Ok(continued) if continued.case.is_of(chain) => {
                Ok(Self::Case(Box::new(continued.case)))
            }
            Ok(_) => Err(Refused::AnotherApproval),
            Err(error) => Err(Refused::Unreadable { run, cause: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protos::payload::Encoding;
    use temporalio_common::protos::temporal::api::common::v1::RetryPolicy;

    use super::*;
    use crate::{
        approval::{OnDeadline, Quorum},
        policy::{Plan, PlannedStage, TimePlan},
        testing::sealed,
    };

    const EARLIER: &str = "01a215fa-70c1-7bd4-950a-a6885394f83c";

    fn continued() -> Payload {
        let submission = v1::Submission { submission_id: "PO-1".into(), ..<_>::default() };
        let submitter = "sue@example.com".parse().expect("an address");
        let mut case = Case::default();
        let stage = PlannedStage {
            name: "Finance".into(),
            reviewers: vec!["ann@example.com".parse().expect("an address")],
            quorum: Quorum::All,
            time: TimePlan { deadline: "1h".parse().expect("a wait"), reminders: vec![] },
            on_deadline: OnDeadline::Expire,
            escalations: vec![],
        };
        let plan = Plan::asking(submission.clone(), submitter, vec![stage]);
        let chain = Chain { workflow_id: "laptops", first_run_id: EARLIER };
        let encoding = Encoding::JsonProtobuf;
        case.begin(sealed(&plan, chain), chain, encoding, Timestamp::UNIX_EPOCH).expect("a plan");
        let continued = Continued { submission, case };
        continued.to_payload().expect("it can be written")
    }

    /// The start event of a run that continues an earlier one.
    fn next_run() -> InitializeWorkflow {
        InitializeWorkflow {
            continued_from_execution_run_id: EARLIER.to_owned(),
            first_execution_run_id: EARLIER.to_owned(),
            workflow_id: "laptops".to_owned(),
            continued_initiator: ContinueAsNewInitiator::Workflow.into(),
            attempt: 1,
            ..Default::default()
        }
    }

    #[test]
    fn only_a_run_that_continued_as_new_starts_from_a_case() {
        let Ok(Origin::Case(read)) = Origin::of(&next_run(), &[continued()]) else {
            panic!("it continues");
        };
        assert_eq!(read.submission().submission_id, "PO-1");
        let initiated = |initiator: ContinueAsNewInitiator| InitializeWorkflow {
            continued_initiator: initiator.into(),
            ..next_run()
        };
        for other in [
            InitializeWorkflow::default(),
            initiated(ContinueAsNewInitiator::Unspecified),
            initiated(ContinueAsNewInitiator::Retry),
            initiated(ContinueAsNewInitiator::CronSchedule),
        ] {
            let refused = Origin::of(&other, &[continued()]).expect_err("it continues nothing");
            assert_eq!(refused, Refused::ContinuesNothing);
        }
    }

    #[test]
    fn an_input_without_our_mark_is_a_submission_for_a_first_run_alone() {
        let mut plain = continued();
        plain.metadata.remove("messageType");
        let inputs =
            [vec![], vec![plain], vec![continued(), continued()], vec![Payload::default()]];
        for input in inputs {
            let origin = Origin::of(&InitializeWorkflow::default(), &input);
            assert!(matches!(origin, Ok(Origin::Submission)), "{input:?}");
            let refused = Origin::of(&next_run(), &input).expect_err("it brings no state");
            assert_eq!(refused, Refused::WithoutState, "{input:?}");
        }
    }

    #[test]
    fn an_encrypted_case_waits_for_its_key_and_an_encrypted_submission_is_one_to_be_named() {
        let metadata = [("encoding", "binary/encrypted"), ("encryption-key-id", "k1")];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value.into())).into();
        let encrypted = [Payload { metadata, ..Payload::default() }];
        let refused = Origin::of(&next_run(), &encrypted).expect_err("not decrypted");
        assert_eq!(refused, Refused::Encrypted(PayloadError::Encrypted("k1".into())));
        let origin = Origin::of(&InitializeWorkflow::default(), &encrypted);
        assert!(matches!(origin, Ok(Origin::Submission)), "{origin:?}");
    }

    #[test]
    fn an_unreadable_case_is_refused_with_its_cause() {
        for garbage in [&b"{\"case\": 1}"[..], b"", b"\xff", b"[]"] {
            let input = Payload { data: garbage.to_vec(), ..continued() };
            let refused = Origin::of(&next_run(), &[input]).expect_err("unreadable");
            let Refused::Unreadable { run, cause } = &refused else { panic!("{refused}") };
            assert_eq!(run, EARLIER);
            assert!(!cause.is_empty(), "{refused}");
            assert!(refused.to_string().contains("reset this run"), "{refused}");
        }
    }

    #[test]
    fn a_run_is_timed_out_by_whichever_time_out_is_over_first() {
        const BEGAN: i64 = 1_795_509_000;
        let ends = |execution: Option<i64>, run: Option<i64>| {
            let mut start = next_run();
            start.start_time.get_or_insert_default().seconds = BEGAN;
            if let Some(seconds) = execution {
                let expires = start.workflow_execution_expiration_time.get_or_insert_default();
                expires.seconds = if seconds > 0 { BEGAN + seconds } else { 0 };
            }
            if let Some(seconds) = run {
                start.workflow_run_timeout.get_or_insert_default().seconds = seconds;
            }
            times_out_at(&start).map(|at| at.as_second() - BEGAN)
        };
        assert_eq!(ends(None, None), None);
        assert_eq!(ends(Some(0), Some(0)), None, "no time-out");
        assert_eq!(ends(Some(60), None), Some(60));
        assert_eq!(ends(None, Some(60)), Some(60));
        assert_eq!(ends(Some(60), Some(30)), Some(30));
        assert_eq!(ends(Some(30), Some(60)), Some(30));
        assert_eq!(ends(Some(60), Some(i64::MAX)), Some(60), "too far away to be said");
    }

    #[test]
    fn cron_schedules_and_retry_policies_are_refused_whatever_the_input() {
        let retried = |maximum_attempts| {
            let policy = RetryPolicy { maximum_attempts, ..RetryPolicy::default() };
            InitializeWorkflow { retry_policy: Some(policy), ..next_run() }
        };
        for input in [vec![continued()], vec![Payload::default()], vec![]] {
            let cron = "@every 3s".to_owned();
            let start = InitializeWorkflow { cron_schedule: cron.clone(), ..next_run() };
            let refused = Origin::of(&start, &input).expect_err("a cron schedule");
            assert_eq!(refused, Refused::CronSchedule(cron));
            for attempts in [0, 2] {
                let refused = Origin::of(&retried(attempts), &input).expect_err("a retry policy");
                assert_eq!(refused, Refused::RetryPolicy, "{attempts}");
            }
        }
        let once = Origin::of(&retried(1), &[continued()]);
        assert!(matches!(once, Ok(Origin::Case(_))), "it is never retried");
    }
}
