//! Decisions, sent to a Temporal that answers as each test scripts it.

use std::{
    collections::{BTreeSet, VecDeque},
    future::ready,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use countersign_connection::testing::fake_temporal;
use countersign_protos::{
    Chain, Claims, LinkContext, LinkKeys, Sealing, Statement,
    answers::{self, Answers},
    comment_hash, digest, names,
    payload::{self, Encoding},
    v1::{
        self, ApprovalState, Decision, Delegation, Document, Field, Outcome, ReviewerState,
        StageOutcome, StageState, Status, Submission, Vote,
    },
};
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use serde_json::{Value, json};
use temporalio_client::{
    ClientOptions,
    callback_based::GrpcRequest,
    tonic::{self, Code},
};
use temporalio_common::{
    protos::constants::LOCAL_ACTIVITY_MARKER_NAME,
    protos::temporal::api::{
        common::v1::{Payload, Payloads, SearchAttributes, WorkflowExecution},
        enums::v1::WorkflowExecutionStatus::{
            self, Completed, ContinuedAsNew, Running, Terminated,
        },
        history::v1::{
            History, HistoryEvent, MarkerRecordedEventAttributes,
            WorkflowExecutionCompletedEventAttributes, WorkflowExecutionStartedEventAttributes,
            history_event::Attributes,
        },
        query::v1::QueryRejected,
        workflow::v1::WorkflowExecutionInfo,
        workflowservice::v1::{
            DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse,
            GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse,
            ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse, QueryWorkflowRequest,
            QueryWorkflowResponse, SignalWorkflowExecutionRequest,
        },
    },
};
use tokio::task::yield_now;

use super::*;
use crate::{
    answer::on_view,
    approvals::Approvals,
    delegation_form::NotDelegated,
    lookup::LookupError,
    temporal::{from_temporal, to_temporal},
};

/// Of the runs whose first one is `first`.
pub(crate) const CHAIN: Chain<'_> = Chain { workflow_id: "approval", first_run_id: "first" };

pub(crate) fn keys() -> LinkKeys {
    countersign_protos::TEST_KEYS[0].parse().expect("a key")
}

fn genuine() -> GenuineLink {
    keys().first().link(LinkContext::new(CHAIN, &digest(&json!({})), "ann@example.com"))
}

fn link() -> LinkHash {
    genuine().hash().clone()
}

fn press(verdict: Verdict) -> Press<'static> {
    static NONE: Answers = Answers::new();
    Press { verdict, comment: "", answers: &NONE, nonce: "" }
}

/// What the workflow says of Ann, whose link it is, and of the approval.
fn state(status: Status, vote: Option<Verdict>) -> ApprovalState {
    state_of(Submission::default(), status, vote)
}

pub(crate) fn digest_of(submission: &Submission) -> String {
    digest(&serde_json::to_value(submission).expect("JSON"))
}

/// What it says of another submission.
pub(crate) fn state_of(
    submission: Submission,
    status: Status,
    vote: Option<Verdict>,
) -> ApprovalState {
    let reviewer = || "ann@example.com".to_owned();
    let digest = digest_of(&submission);
    let own = keys().first().link(LinkContext::new(CHAIN, &digest, "ann@example.com"));
    let vote = vote.map(|verdict| Vote {
        verdict: verdict.into(),
        link: own.hash().as_str().into(),
        reviewer: reviewer(),
        by: "link".into(),
        proof: Some(own.sign(verdict, "", Timestamp::UNIX_EPOCH)),
        ..Vote::default()
    });
    let link = own.hash().as_str().to_owned();
    let ann = ReviewerState { reviewer: reviewer(), link, vote, ..ReviewerState::default() };
    let stage = StageState { status: status.into(), reviewers: vec![ann], ..StageState::default() };
    ApprovalState {
        status: status.into(),
        submission: Some(submission),
        stages: vec![stage],
        jws: signed(status, &digest),
        ..ApprovalState::default()
    }
}

pub(crate) fn signed(status: Status, digest: &str) -> String {
    keys().first().sign(&Claims {
        workflow_id: CHAIN.workflow_id.into(),
        first_run_id: CHAIN.first_run_id.into(),
        submission_id: String::new(),
        status: status.as_str_name().into(),
        basis: "people".into(),
        operator: false,
        digest: digest.to_owned(),
        action_digest: String::new(),
        execution_key: String::new(),
        decided_at: String::new(),
    })
}

/// Another approval, as its workflow says it: nobody has voted on it.
fn coffee() -> ApprovalState {
    let document = Some(Document { title: "Team coffee".into(), ..Document::default() });
    let submission = Some(Submission { document, ..Submission::default() });
    ApprovalState { status: Status::Pending.into(), submission, ..ApprovalState::default() }
}

/// One that the index names for the link.
#[derive(Clone)]
pub(crate) struct Run {
    workflow_id: String,
    id: String,
    /// The first of those that follow each other.
    first: &'static str,
    status: WorkflowExecutionStatus,
    /// What its query answers.
    pub(crate) says: ApprovalState,
    /// Whether the index shows it.
    indexed: bool,
    /// Whether its history has the link.
    issued: bool,
    /// Whether its history can be read.
    readable: bool,
    /// What its history has in place of the [usual](markers).
    pub(crate) recorded: Option<Vec<Attributes>>,
}

impl Run {
    fn new(id: &str, status: WorkflowExecutionStatus, says: ApprovalState) -> Self {
        Run {
            workflow_id: "approval".into(),
            id: id.into(),
            first: "first",
            status,
            says,
            indexed: true,
            issued: true,
            readable: true,
            recorded: None,
        }
    }

    /// One that was started with the link among its search attributes.
    fn copy(workflow_id: &str, id: &str) -> Self {
        let workflow_id = workflow_id.into();
        Run { workflow_id, first: "copy", issued: false, ..Run::new(id, Running, coffee()) }
    }

    fn info(&self, started: u64) -> WorkflowExecutionInfo {
        let execution =
            WorkflowExecution { workflow_id: self.workflow_id.clone(), run_id: self.id.clone() };
        let at = |nanos| SystemTime::UNIX_EPOCH + Duration::new(started, nanos);
        let over = self.status != Running;
        WorkflowExecutionInfo {
            execution: Some(execution),
            status: self.status.into(),
            start_time: Some(at(0).into()),
            close_time: over.then_some(at(1).into()),
            first_run_id: self.first.into(),
            search_attributes: Some(claims()),
            ..Default::default()
        }
    }

    fn history(&self) -> Vec<HistoryEvent> {
        let event =
            |attributes| HistoryEvent { attributes: Some(attributes), ..Default::default() };
        let markers = match &self.recorded {
            Some(recorded) => recorded.clone(),
            None if self.issued => markers(),
            None => Vec::new(),
        };
        [self.begins()].into_iter().chain(markers).map(event).collect()
    }

    fn begins(&self) -> Attributes {
        let submission = self.says.submission.clone().unwrap_or_default();
        let payloads = vec![to_temporal(payload::encode(&submission, Encoding::JsonPlain))];
        Attributes::WorkflowExecutionStartedEventAttributes(
            WorkflowExecutionStartedEventAttributes {
                input: Some(Payloads { payloads }),
                first_execution_run_id: self.first.into(),
                ..Default::default()
            },
        )
    }

    fn ends(&self) -> Attributes {
        let stages = self.says.stages.iter().map(|stage| StageOutcome {
            status: stage.status,
            decisions: stage.reviewers.iter().filter_map(|asked| asked.vote.clone()).collect(),
            ..StageOutcome::default()
        });
        let outcome = Outcome {
            status: self.says.status,
            stages: stages.collect(),
            jws: self.says.jws.clone(),
            ..Outcome::default()
        };
        let payloads = vec![to_temporal(payload::encode(&outcome, Encoding::JsonPlain))];
        Attributes::WorkflowExecutionCompletedEventAttributes(
            WorkflowExecutionCompletedEventAttributes {
                result: Some(Payloads { payloads }),
                ..Default::default()
            },
        )
    }
}

/// The link, as the index has it of each run.
fn claims() -> SearchAttributes {
    let data = json!([link().as_str()]).to_string().into_bytes();
    let links = Payload { data, ..Payload::default() };
    SearchAttributes { indexed_fields: [(names::ATTRIBUTE_LINKS.to_owned(), links)].into() }
}

/// What the worker's SDK records when the plan is made and the link is issued.
fn markers() -> Vec<Attributes> {
    let seat = json!({
        "stage": 0, "round": 0, "reviewer": "ann@example.com", "link": link().as_str(), "key": "",
    });
    let plan = r#"{"submission":{}}"#;
    let seal = keys().first().seal(Sealing::Plan, CHAIN, "", plan.as_bytes());
    vec![
        marker(names::ACTIVITY_VALIDATE, json!({"plan": {"json": plan, "seal": seal}})),
        marker(names::ACTIVITY_ISSUE_LINKS, json!({"invited": [seat], "due": null})),
    ]
}

/// The same of another submission, whose submitter has a link.
pub(crate) fn recorded(submission: &Submission, link: &GenuineLink) -> Vec<Attributes> {
    let digest = digest_of(submission);
    let submitter = "priya@example.com";
    let plan = json!({"submission": submission, "digest": digest, "submitter": submitter});
    let plan = plan.to_string();
    let seal = keys().first().seal(Sealing::Plan, CHAIN, &digest, plan.as_bytes());
    let issued = json!({"invited": [], "submitter": {"link": link.hash().as_str(), "key": ""}});
    vec![
        marker(names::ACTIVITY_VALIDATE, json!({"plan": {"json": plan, "seal": seal}})),
        marker(names::ACTIVITY_ISSUE_LINKS, issued),
    ]
}

fn marker(activity: &str, result: Value) -> Attributes {
    let data = json!({"seq": 1, "attempt": 1, "activity_id": "1", "activity_type": activity});
    let payloads = |json: Value| Payloads {
        payloads: vec![Payload { data: json.to_string().into_bytes(), ..Payload::default() }],
    };
    let details = [("data", payloads(data)), ("result", payloads(result))];
    Attributes::MarkerRecordedEventAttributes(MarkerRecordedEventAttributes {
        marker_name: LOCAL_ACTIVITY_MARKER_NAME.into(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Default::default()
    })
}

/// What a signal does, and how it is answered.
type Signal = Box<dyn FnOnce(&mut World) -> Result<(), Code> + Send>;

/// All that Temporal has.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) runs: Vec<Run>,
    signals: VecDeque<Signal>,
    /// The run and the request ID of each signal.
    pub(crate) sent: Vec<(String, String)>,
    /// Who sent each of them.
    pub(crate) identities: Vec<String>,
    /// What each of them said.
    said: Vec<Decision>,
    /// The calls that were made.
    called: BTreeSet<String>,
    descriptions: usize,
    look_ups: usize,
    /// Whether no worker runs.
    pub(crate) no_worker: bool,
    /// Whether it is asked for its namespace too often.
    busy: bool,
}

impl World {
    pub(crate) fn run(
        self,
        id: &str,
        status: WorkflowExecutionStatus,
        says: ApprovalState,
    ) -> Self {
        self.with(Run::new(id, status, says))
    }

    fn with(mut self, run: Run) -> Self {
        self.runs.push(run);
        self
    }

    fn find(&self, run_id: &str) -> Result<&Run, tonic::Status> {
        let run = self.runs.iter().find(|run| run.id == run_id);
        run.ok_or_else(|| tonic::Status::not_found(run_id))
    }

    pub(crate) fn signal(
        mut self,
        does: impl FnOnce(&mut World) -> Result<(), Code> + Send + 'static,
    ) -> Self {
        self.signals.push_back(Box::new(does));
        self
    }

    fn answer(&mut self, request: &GrpcRequest) -> Result<Vec<u8>, tonic::Status> {
        self.called.insert(request.rpc.clone());
        match request.rpc.as_str() {
            "DescribeNamespace" if self.busy => {
                Err(tonic::Status::resource_exhausted("too many requests"))
            }
            "GetSystemInfo" | "DescribeNamespace" => Ok(Vec::new()),
            "ListWorkflowExecutions" => {
                let asked = ListWorkflowExecutionsRequest::decode(request.proto.clone());
                let asked = asked.expect("a query");
                let link = link();
                let claims = format!("ApprovalLinks IN ('{}')", link.as_str());
                assert_eq!(asked.query, format!("{claims} AND WorkflowType = 'ApprovalWorkflow'"));
                self.look_ups += 1;
                let seen = asked.next_page_token.len();
                let size = usize::try_from(asked.page_size).expect("a size");
                let indexed = (0..).zip(&self.runs).filter(|(_, run)| run.indexed);
                let page = indexed.skip(seen * size).take(size);
                let executions: Vec<_> = page.map(|(started, run)| run.info(started)).collect();
                let is_full = executions.len() == size;
                let next_page_token = if is_full { vec![0; seen + 1] } else { Vec::new() };
                Ok(ListWorkflowExecutionsResponse { executions, next_page_token }.encode_to_vec())
            }
            "ResetStickyTaskQueue" => Ok(Vec::new()),
            "QueryWorkflow" if self.no_worker => {
                Err(tonic::Status::failed_precondition("no worker"))
            }
            "QueryWorkflow" => {
                let asked = QueryWorkflowRequest::decode(request.proto.clone()).expect("a query");
                let run_id = asked.execution.unwrap_or_default().run_id;
                let run = self.find(&run_id)?;
                let clean = matches!(run.status, Running | Completed);
                let rejects = asked.query_reject_condition == 3 && !clean;
                let payloads = vec![to_temporal(payload::encode(&run.says, Encoding::JsonPlain))];
                Ok(QueryWorkflowResponse {
                    query_result: (!rejects).then_some(Payloads { payloads }),
                    query_rejected: rejects.then_some(QueryRejected { status: run.status.into() }),
                    ..Default::default()
                }
                .encode_to_vec())
            }
            "DescribeWorkflowExecution" => {
                let asked = DescribeWorkflowExecutionRequest::decode(request.proto.clone());
                let WorkflowExecution { workflow_id, run_id } =
                    asked.expect("a request").execution.unwrap_or_default();
                let mut runs =
                    (0..).zip(&self.runs).filter(|(_, run)| run.workflow_id == workflow_id);
                let run = match run_id.as_str() {
                    "" => runs.last(),
                    run_id => runs.find(|(_, run)| run.id == run_id),
                };
                self.descriptions += usize::from(run_id.is_empty());
                Ok(DescribeWorkflowExecutionResponse {
                    workflow_execution_info: run.map(|(started, run)| run.info(started)),
                    ..Default::default()
                }
                .encode_to_vec())
            }
            "GetWorkflowExecutionHistory" => {
                let asked = GetWorkflowExecutionHistoryRequest::decode(request.proto.clone())
                    .expect("a request");
                let run_id = asked.execution.unwrap_or_default().run_id;
                let run = self.find(&run_id)?;
                if !run.readable {
                    return Err(tonic::Status::unavailable("as told"));
                }
                let ends = || HistoryEvent { attributes: Some(run.ends()), ..Default::default() };
                let events = match asked.history_event_filter_type {
                    2 => vec![ends()],
                    _ => run.history(),
                };
                Ok(GetWorkflowExecutionHistoryResponse {
                    history: Some(History { events }),
                    ..Default::default()
                }
                .encode_to_vec())
            }
            "SignalWorkflowExecution" => {
                let asked = SignalWorkflowExecutionRequest::decode(request.proto.clone())
                    .expect("a request");
                let run_id = asked.workflow_execution.unwrap_or_default().run_id;
                self.sent.push((run_id, asked.request_id));
                self.identities.push(asked.identity);
                let payloads = from_temporal(asked.input.unwrap_or_default().payloads);
                self.said.push(payload::decode(&payloads).expect("a decision"));
                let signal = self.signals.pop_front().expect("no further signal");
                signal(self)
                    .map(|()| Vec::new())
                    .map_err(|code| tonic::Status::new(code, "as told"))
            }
            other => Err(tonic::Status::unimplemented(other)),
        }
    }
}

/// Approvals in that world, once they are connected to it.
pub(crate) async fn approvals(world: World) -> (Approvals, Arc<Mutex<World>>) {
    let world = Arc::new(Mutex::new(world));
    let asked = world.clone();
    let connection =
        fake_temporal(move |request| ready(asked.lock().expect("a lock").answer(&request)));
    let approvals =
        Approvals::connect(connection, ClientOptions::new("default").build(), keys().jwks());
    while approvals.ready().await.is_err() {
        yield_now().await;
    }
    (approvals, world)
}

/// What comes of Ann's approval.
async fn approve(world: World) -> Result<Answer, Problem> {
    let (approvals, _) = approvals(world).await;
    approvals.signal(&genuine(), None, press(Verdict::Approve)).await.map(|(answer, _)| answer)
}

#[tokio::test(start_paused = true)]
async fn where_the_acknowledgement_was_lost_what_the_workflow_says_is_said() {
    let pending = || World::default().run("first", Running, state(Status::Pending, None));
    let counts_unanswered = |world: &mut World| {
        world.runs[0].status = Completed;
        world.runs[0].says = state(Status::Approved, Some(Verdict::Approve));
        Err(Code::Unavailable)
    };
    let counted = pending().signal(counts_unanswered).signal(|_| Err(Code::NotFound));
    assert_eq!(approve(counted).await, Ok(Answer::Recorded));

    // Somebody else was first, and the workflow is over.
    let too_late = |world: &mut World| {
        world.runs[0].says = state(Status::Rejected, None);
        Err(Code::Unavailable)
    };
    let settled = pending().signal(too_late).signal(|_| Err(Code::NotFound));
    assert_eq!(approve(settled).await, Ok(Answer::TooLate));

    let lost = pending().signal(|_| Err(Code::Unavailable)).signal(|_| Err(Code::NotFound));
    assert_eq!(approve(lost).await, Err(Problem::Unknown));
}

/// The history says that it will not count.
#[test]
fn a_press_on_a_replaced_link_is_not_said_to_take_effect() {
    let said = |reading: Reading| {
        let press = press(Verdict::Approve);
        press.effect(&link(), &reading, &reading).unwrap_or_else(|| press.stored(&reading))
    };
    let pending = || state(Status::Pending, None);
    assert_eq!(said(Reading::NoWorker(pending())), Answer::Accepted);
    assert_eq!(said(Reading::Replaced(pending())), Answer::Superseded);
}

#[tokio::test(start_paused = true)]
async fn all_that_is_asked_of_temporal_is_to_read_query_signal_and_reset_sticky_task_queues() {
    for (no_worker, expected) in [(false, Answer::Recorded), (true, Answer::Accepted)] {
        let counts = |world: &mut World| {
            world.runs[0].says = state(Status::Pending, Some(Verdict::Approve));
            Ok(())
        };
        let world = World { no_worker, ..World::default() };
        let world = world.run("first", Running, state(Status::Pending, None)).signal(counts);
        let (approvals, world) = approvals(world).await;
        approvals.find(&genuine(), None).await.expect("found");
        let decided = approvals.signal(&genuine(), None, press(Verdict::Approve)).await;
        assert_eq!(decided.map(|(answer, _)| answer), Ok(expected));
        let called = world.lock().expect("a lock").called.clone();
        let reads = ["Describe", "Get", "List", "Query"];
        for call in called {
            let acts = ["SignalWorkflowExecution", "ResetStickyTaskQueue"].contains(&&*call);
            assert!(acts || reads.iter().any(|read| call.starts_with(read)), "{call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_was_recorded_where_every_attempt_was_refused() {
    let closed = World::default()
        .run("first", Running, state(Status::Pending, None))
        .signal(|_| Err(Code::NotFound))
        .signal(|_| Err(Code::NotFound));
    assert_eq!(approve(closed).await, Err(Problem::NothingRecorded));
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_makes_the_run_continue_is_answered_by_the_next_run() {
    let continues = |indexed| {
        move |world: &mut World| {
            world.runs[0].status = ContinuedAsNew;
            world.runs[0].says = ApprovalState::default();
            let says = state(Status::Pending, Some(Verdict::Approve));
            world.runs.push(Run { indexed, ..Run::new("next", Running, says) });
            Ok(())
        }
    };
    let pending = || World::default().run("first", Running, state(Status::Pending, None));
    for indexed in [true, false] {
        let answer = approve(pending().signal(continues(indexed))).await;
        assert_eq!(answer, Ok(Answer::Recorded), "indexed: {indexed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_handed_over_all_that_it_knew_says_nothing_about_a_vote() {
    let hands_over = |world: &mut World| {
        world.runs[0].says = ApprovalState::default();
        Ok(())
    };
    let pending = World::default().run("first", Running, state(Status::Pending, None));
    assert_eq!(approve(pending.signal(hands_over)).await, Ok(Answer::Accepted));
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_reset_after_its_outcome_can_be_decided_again() {
    let decides = |world: &mut World| {
        world.runs[0].status = Completed;
        world.runs[0].says = state(Status::Approved, Some(Verdict::Approve));
        Ok(())
    };
    let pending = World::default().run("first", Running, state(Status::Pending, None));
    let (approvals, world) = approvals(pending.signal(decides)).await;
    let answer =
        approvals.signal(&genuine(), None, press(Verdict::Approve)).await.map(|(answer, _)| answer);
    assert_eq!(answer, Ok(Answer::Recorded));

    let says = state(Status::Pending, None);
    let goes_on = Run { indexed: false, ..Run::new("reset", Running, says) };
    world.lock().expect("a lock").runs.push(goes_on);
    for _ in 0..2 {
        let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
        assert_eq!(on_view(&reading, &link()), Answer::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_reset_while_no_worker_runs_takes_decisions_again() {
    let pending = World::default().run("first", Running, state(Status::Pending, None));
    let (approvals, world) = approvals(pending.signal(|_| Ok(()))).await;
    approvals.find(&genuine(), None).await.expect("found");
    {
        let mut world = world.lock().expect("a lock");
        world.runs[0].status = Completed;
        world.runs[0].says = state(Status::Approved, Some(Verdict::Approve));
        let says = state(Status::Pending, None);
        world.runs.push(Run { indexed: false, ..Run::new("reset", Running, says) });
        world.no_worker = true;
    }
    let answer =
        approvals.signal(&genuine(), None, press(Verdict::Approve)).await.map(|(answer, _)| answer);
    assert_eq!(answer, Ok(Answer::Accepted), "the earlier vote is no longer there");
}

#[tokio::test(start_paused = true)]
async fn a_pending_approval_that_is_reset_goes_on_before_the_index_shows_it() {
    let pending = || state(Status::Pending, None);
    let (approvals, world) = approvals(World::default().run("first", Running, pending())).await;
    approvals.find(&genuine(), None).await.expect("found");
    {
        let mut world = world.lock().expect("a lock");
        world.runs[0].status = Terminated;
        world.runs.push(Run { indexed: false, ..Run::new("reset", Running, pending()) });
    }
    let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
    assert_eq!(on_view(&reading, &link()), Answer::Open);
}

#[tokio::test(start_paused = true)]
async fn a_temporal_that_is_asked_too_often_still_knows_what_is_gone() {
    let (approvals, world) = approvals(World::default()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.lock().expect("a lock").busy = true;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(approvals.find(&genuine(), None).await.map(drop), Err(LookupError::Gone));
}

#[tokio::test(start_paused = true)]
async fn of_several_runs_in_the_index_the_one_that_goes_on_matters() {
    let voted = || state(Status::Pending, Some(Verdict::Reject));
    let world = World::default().run("first", Terminated, voted()).run(
        "second",
        Running,
        state(Status::Pending, None),
    );
    let (approvals, _) = approvals(world).await;
    let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
    assert_eq!(on_view(&reading, &link()), Answer::Open);
    let over = World::default().run("first", Terminated, voted()).run(
        "second",
        Completed,
        state(Status::Approved, Some(Verdict::Approve)),
    );
    let (approvals, _) = self::approvals(over).await;
    let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
    assert_eq!(on_view(&reading, &link()), Answer::Decided);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_stays_that_of_its_link_and_is_seldom_looked_at_again() {
    let reused = World::default().run("first", Completed, state(Status::Approved, None));
    let (approvals, world) = approvals(reused).await;
    let other = Run { indexed: false, ..Run::copy("approval", "other") };
    world.lock().expect("a lock").runs.push(other);
    for _ in 0..3 {
        let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
        assert_eq!(on_view(&reading, &link()), Answer::Decided);
    }
    assert_eq!(world.lock().expect("a lock").descriptions, 1);
}

/// The same world with others that claim the link: on either side, more than a page of them, under
/// other workflow IDs and the same one.
fn among_copies(world: World) -> World {
    let copies = |name: &'static str| {
        (0..300).map(move |i| Run::copy(&format!("{name}-{i}"), &format!("{name}-{i}")))
    };
    let issued = world.runs.into_iter();
    // A worker of somebody else's can write any history, but not an older one.
    let forged = Run { issued: true, ..Run::copy("approval", "forged") };
    let of_same_id = [Run::copy("approval", "same"), forged];
    let runs = copies("older").chain(issued).chain(of_same_id).chain(copies("newer"));
    World { runs: runs.collect(), ..world }
}

#[tokio::test(start_paused = true)]
async fn whoever_copies_a_search_attribute_gets_no_link() {
    let looked_at = async |world: World| {
        let (approvals, world) = approvals(world).await;
        let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
        assert_ne!(reading.state().submission, coffee().submission);
        assert_eq!(world.lock().expect("a lock").look_ups, 1, "the index is asked once");
        on_view(&reading, &link())
    };
    let paid = || World::default().run("first", Completed, state(Status::Approved, None));
    let open = || World::default().run("first", Running, state(Status::Pending, None));
    let reset = || {
        let reset = Run::new("reset", Running, state(Status::Pending, None));
        World::default().run("first", Terminated, state(Status::Pending, None)).with(reset)
    };
    for (world, answer) in
        [(paid(), Answer::Decided), (open(), Answer::Open), (reset(), Answer::Open)]
    {
        assert_eq!(looked_at(among_copies(world)).await, answer);
    }
    for (world, answer) in [(paid(), Answer::Decided), (reset(), Answer::NoWorker)] {
        let no_worker = World { no_worker: true, ..among_copies(world) };
        assert_eq!(looked_at(no_worker).await, answer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_goes_to_the_run_that_issued_its_link() {
    for no_worker in [true, false] {
        let counts = |world: &mut World| {
            let first = world.runs.iter_mut().find(|run| run.id == "first").expect("a run");
            first.says = state(Status::Approved, Some(Verdict::Approve));
            Ok(())
        };
        let pending = World::default().run("first", Running, state(Status::Pending, None));
        let world = World { no_worker, ..among_copies(pending.signal(counts)) };
        let (approvals, world) = approvals(world).await;
        let answer = approvals.signal(&genuine(), None, press(Verdict::Approve)).await;
        let expected = if no_worker { Answer::Accepted } else { Answer::Recorded };
        assert_eq!(answer.map(|(answer, _)| answer), Ok(expected));
        let world = world.lock().expect("a lock");
        assert!(world.sent.iter().all(|(run, _)| run == "first"), "{:?}", world.sent);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_issued_it_any_more_a_link_is_gone() {
    for (no_worker, copies) in [(false, 1), (true, 1), (false, 20), (true, 20)] {
        let runs = (0..copies).map(|i| Run::copy(&format!("copy-{i}"), &format!("copy-{i}")));
        let (approvals, world) =
            approvals(World { runs: runs.collect(), no_worker, ..World::default() }).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let found = approvals.find(&genuine(), None).await.map(drop);
        assert_eq!(found, Err(LookupError::Gone), "{copies}, no_worker: {no_worker}");
        let answer = approvals.signal(&genuine(), None, press(Verdict::Approve)).await.map(drop);
        assert_eq!(answer, Err(Problem::Gone), "{copies}, no_worker: {no_worker}");
        assert_eq!(world.lock().expect("a lock").sent, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_in_the_index_first_is_left_when_the_issuer_comes() {
    let world = World::default().with(Run::copy("copy", "copy"));
    let (approvals, world) = approvals(world).await;
    let comes = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let first = Run::new("first", Running, state(Status::Pending, None));
        world.lock().expect("a lock").runs.push(first);
    };
    let (link, genuine) = (link(), genuine());
    let (found, ()) = tokio::join!(approvals.find(&genuine, None), comes);
    let (_, reading) = found.expect("found");
    assert_eq!(on_view(&reading, &link), Answer::Open);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_be_read_is_no_reason_to_take_a_later_one() {
    let first = Run::new("first", Running, state(Status::Pending, None));
    let unreadable = World::default().with(Run { readable: false, ..first });
    let (approvals, world) = approvals(among_copies(unreadable)).await;
    assert_eq!(approvals.find(&genuine(), None).await.map(drop), Err(LookupError::Unavailable));
    for run in &mut world.lock().expect("a lock").runs {
        run.readable = true;
    }
    let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
    assert_eq!(on_view(&reading, &link()), Answer::Open);
}

#[tokio::test(start_paused = true)]
async fn more_claims_than_can_be_read_are_no_answer() {
    let runs = (0..10_001).map(|i| Run::copy(&format!("copy-{i}"), &format!("copy-{i}")));
    let (approvals, _) = approvals(World { runs: runs.collect(), ..World::default() }).await;
    assert_eq!(approvals.find(&genuine(), None).await.map(drop), Err(LookupError::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_was_taken_and_is_not_there_is_sent_once_more() {
    let drops = |_: &mut World| Ok(());
    let counts = |world: &mut World| {
        world.runs[0].says = state(Status::Approved, Some(Verdict::Approve));
        Ok(())
    };
    let pending = || World::default().run("first", Running, state(Status::Pending, None));
    let (approvals, world) = approvals(pending().signal(drops).signal(counts)).await;
    let answer =
        approvals.signal(&genuine(), None, press(Verdict::Approve)).await.map(|(answer, _)| answer);
    assert_eq!(answer, Ok(Answer::Recorded));
    let sent: BTreeSet<_> = world.lock().expect("a lock").sent.iter().cloned().collect();
    assert_eq!(sent.len(), 2, "each attempt is an event of its own: {sent:?}");

    let lost = pending().signal(drops).signal(drops);
    assert_eq!(approve(lost).await, Err(Problem::Unknown));

    // Then no worker is left to say that it is not there.
    let dies = |world: &mut World| {
        world.no_worker = true;
        Ok(())
    };
    assert_eq!(approve(pending().signal(dies)).await, Ok(Answer::Accepted));
    assert_eq!(approve(pending().signal(drops).signal(dies)).await, Ok(Answer::Accepted));
    let dies_unheard = |world: &mut World| {
        world.no_worker = true;
        Err(Code::Unavailable)
    };
    let refused = |_: &mut World| Err(Code::NotFound);
    let unheard = pending().signal(dies_unheard).signal(refused);
    assert_eq!(approve(unheard).await, Err(Problem::Unknown));

    // Nothing can be read any more.
    let breaks = |world: &mut World| {
        world.no_worker = true;
        world.runs[0].readable = false;
        Ok(())
    };
    assert_eq!(approve(pending().signal(breaks)).await, Err(Problem::Unknown));

    // What was taken once is not said to be nothing.
    let closed = pending().signal(drops).signal(refused);
    assert_eq!(approve(closed).await, Err(Problem::Unknown));
}

#[tokio::test(start_paused = true)]
async fn the_same_press_again_has_the_same_request_id() {
    let unheard = |_: &mut World| Ok(());
    let world = World { no_worker: true, ..World::default() };
    let world = world.run("first", Running, state(Status::Pending, None));
    let (approvals, world) = approvals(world.signal(unheard).signal(unheard).signal(unheard)).await;
    for verdict in [Verdict::Approve, Verdict::Approve, Verdict::Reject] {
        let answer =
            approvals.signal(&genuine(), None, press(verdict)).await.map(|(answer, _)| answer);
        assert_eq!(answer, Ok(Answer::Accepted));
    }
    let sent = world.lock().expect("a lock").sent.clone();
    assert_eq!(sent[0], sent[1]);
    assert_ne!(sent[0], sent[2]);
}

#[tokio::test(start_paused = true)]
async fn a_presss_event_in_the_history_names_whose_it_is() {
    let counts = |world: &mut World| {
        world.runs[0].says = state(Status::Approved, Some(Verdict::Approve));
        Ok(())
    };
    let world = World::default().run("first", Running, state(Status::Pending, None));
    let (approvals, world) = approvals(world.signal(counts)).await;
    let answer = approvals.signal(&genuine(), None, press(Verdict::Approve)).await;
    assert_eq!(answer.map(|(answer, _)| answer), Ok(Answer::Recorded));
    let identities = world.lock().expect("a lock").identities.clone();
    let signaler = format!("countersign-signaler@{}", std::process::id());
    assert_eq!(identities, [format!("ann@example.com ({signaler})")]);
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_has_to_be_confirmed_is_sent_only_with_its_nonce() {
    let confirming = |status, vote| ApprovalState { confirm: true, ..state(status, vote) };
    let counts = move |world: &mut World| {
        world.runs[0].says = confirming(Status::Approved, Some(Verdict::Approve));
        Ok(())
    };
    let pending = confirming(Status::Pending, None);
    let world = World::default().run("first", Running, pending).signal(counts);
    let (approvals, world) = approvals(world).await;
    let decide = async |nonce: &str| {
        let press = Press { nonce, ..press(Verdict::Approve) };
        approvals.signal(&genuine(), None, press).await.map(|(answer, _)| answer)
    };
    let nonce = |verdict, comment: &str, hours| {
        let at = Timestamp::now() - SignedDuration::from_hours(hours);
        genuine().nonce(verdict, comment, &Answers::new(), at)
    };
    for refused in [
        String::new(),
        "1.x".to_owned(),
        nonce(Verdict::Reject, "", 0),
        nonce(Verdict::Approve, "Fine", 0),
        nonce(Verdict::Approve, "", 2),
    ] {
        assert_eq!(decide(&refused).await, Ok(Answer::Unconfirmed), "{refused}");
    }
    assert!(world.lock().expect("a lock").sent.is_empty(), "nothing is recorded");
    assert_eq!(decide(&nonce(Verdict::Approve, "", 0)).await, Ok(Answer::Recorded));
    assert_eq!(world.lock().expect("a lock").sent.len(), 1);
    assert_eq!(decide("").await, Ok(Answer::AlreadyRecorded), "there is nothing to confirm");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_needs_a_comment_is_not_sent_without_one() {
    let requiring = |status, vote| {
        let comment_required = vec![Verdict::Approve.into()];
        ApprovalState { comment_required, ..state(status, vote) }
    };
    let counts = move |world: &mut World| {
        world.runs[0].says = requiring(Status::Approved, Some(Verdict::Approve));
        Ok(())
    };
    let world = World::default().run("first", Running, requiring(Status::Pending, None));
    let (approvals, world) = approvals(world.signal(counts)).await;
    let decide = async |comment| {
        let press = Press { comment, ..press(Verdict::Approve) };
        approvals.signal(&genuine(), None, press).await.map(|(answer, _)| answer)
    };
    for comment in ["", " \r\n", "\u{200B}"] {
        assert_eq!(decide(comment).await, Ok(Answer::Uncommented), "{comment:?}");
    }
    assert!(world.lock().expect("a lock").sent.is_empty(), "nothing is recorded");
    assert_eq!(decide("as agreed").await, Ok(Answer::Recorded));
    assert_eq!(decide("").await, Ok(Answer::AlreadyRecorded), "it has one");
    assert_eq!(world.lock().expect("a lock").sent.len(), 1);
}

/// What comes of Ann's having Cy asked, and how many events that is: a call may be made twice for one.
async fn delegate(world: World) -> (Result<Result<Answer, NotDelegated>, Problem>, usize) {
    let (approvals, world) = approvals(world).await;
    let delegation = crate::delegation::Delegation { to: "cy@example.com", reason: "on leave" };
    let said = approvals.signal(&genuine(), None, delegation).await;
    let sent: BTreeSet<_> = world.lock().expect("a lock").sent.iter().cloned().collect();
    (said.map(|(answer, _)| answer), sent.len())
}

/// As the workflow has it, signed by Ann's link.
fn delegated() -> ApprovalState {
    let (to, reason) = ("cy@example.com".to_owned(), "on leave".to_owned());
    let statement = Statement::Delegate { to: &to, reason: &comment_hash(&reason) };
    let delegation = Delegation {
        reviewer: "ann@example.com".into(),
        proof: Some(genuine().prove(statement, Timestamp::UNIX_EPOCH)),
        link: link().as_str().into(),
        to,
        reason,
        ..Delegation::default()
    };
    let mut state = allowing();
    state.stages[0].delegations = vec![delegation];
    state
}

fn allowing() -> ApprovalState {
    ApprovalState { delegate_to: vec!["example.com".into()], ..state(Status::Pending, None) }
}

#[tokio::test(start_paused = true)]
async fn a_delegation_is_answered_by_what_the_workflow_says_of_it() {
    let asking = || World::default().run("first", Running, allowing());
    let taken = |world: &mut World| {
        world.runs[0].says = delegated();
        Ok(())
    };
    assert_eq!(delegate(asking().signal(taken)).await, (Ok(Ok(Answer::Delegated)), 1));
    let again = World::default().run("first", Running, delegated());
    assert_eq!(delegate(again).await, (Ok(Ok(Answer::Delegated)), 0), "once is enough");
    let missing = asking().signal(|_| Ok(())).signal(taken);
    assert_eq!(delegate(missing).await, (Ok(Ok(Answer::Delegated)), 2), "it is sent once more");

    let refused = |world: &mut World| {
        let why = "reassign at 2026-11-24T09:00:00Z: nobody else can be asked (to cy@example.com)";
        let says = &mut world.runs[0].says;
        (says.ignored_signals, says.ignored_because) = (1, vec![why.into()]);
        Ok(())
    };
    let why = NotDelegated::Refused("nobody else can be asked (to cy@example.com)".into());
    assert_eq!(delegate(asking().signal(refused)).await, (Ok(Err(why)), 1));
    let voted = |world: &mut World| {
        world.runs[0].says.stages = state(Status::Pending, Some(Verdict::Approve)).stages;
        Ok(())
    };
    assert_eq!(delegate(asking().signal(voted)).await, (Ok(Ok(Answer::TooLate)), 1));
    let forbidden = World::default().run("first", Running, state(Status::Pending, None));
    assert_eq!(delegate(forbidden).await, (Ok(Err(NotDelegated::NotOffered)), 0));
    let lost = asking().signal(|_| Err(Code::Unavailable)).signal(|_| Err(Code::NotFound));
    assert_eq!(delegate(lost).await, (Err(Problem::Unknown), 1));
}

#[tokio::test(start_paused = true)]
async fn a_delegation_that_was_refused_may_be_tried_again_as_another_event() {
    // In the same second, and so in the same words.
    let refuses = |world: &mut World| {
        let why = "reassign at 2026-11-24T09:00:00Z: nobody else can be asked (to cy@example.com)";
        let says = &mut world.runs[0].says;
        says.ignored_signals += 1;
        says.ignored_because.push(why.into());
        Ok(())
    };
    let asking = World::default().run("first", Running, allowing());
    let asking = asking.signal(refuses).signal(refuses).signal(refuses);
    let (approvals, world) = approvals(asking).await;
    for _ in 0..3 {
        let delegation = crate::delegation::Delegation { to: "cy@example.com", reason: "on leave" };
        let said = approvals.signal(&genuine(), None, delegation).await;
        assert!(matches!(&said, Ok((Err(NotDelegated::Refused(_)), _))), "{said:?}");
    }
    let sent: BTreeSet<_> = world.lock().expect("a lock").sent.iter().cloned().collect();
    assert_eq!(sent.len(), 3, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn what_others_send_between_two_presses_makes_no_other_event_of_a_delegation() {
    let others = |world: &mut World| {
        let says = &mut world.runs[0].says;
        says.ignored_signals += 1;
        says.ignored_because
            .push("approve at 2026-11-24T09:00:00Z: nobody asked (dan@example.com)".into());
        Ok(())
    };
    let asking = World::default().run("first", Running, allowing());
    let asking = asking.signal(others).signal(others).signal(others).signal(others);
    let (approvals, world) = approvals(asking).await;
    let mut sent = Vec::new();
    for _ in 0..2 {
        let delegation = crate::delegation::Delegation { to: "cy@example.com", reason: "on leave" };
        drop(approvals.signal(&genuine(), None, delegation).await);
        sent.push(world.lock().expect("a lock").sent.iter().cloned().collect::<BTreeSet<_>>());
    }
    assert!(!sent[0].is_empty());
    assert_eq!(sent[0], sent[1]);
}

#[tokio::test(start_paused = true)]
async fn a_delegation_that_nobody_has_signed_is_not_shown() {
    let mut forged = delegated();
    forged.stages[0].delegations[0].to = "eve@example.com".into();
    let (approvals, _) = approvals(World::default().run("first", Running, forged)).await;
    let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
    assert_eq!(on_view(&reading, &link()), Answer::Open);
    let (approvals, _) = self::approvals(World::default().run("first", Running, delegated())).await;
    let (_, reading) = approvals.find(&genuine(), None).await.expect("found");
    assert_eq!(on_view(&reading, &link()), Answer::Delegated);
}

/// As mailed: the index, which has [`link`] alone, is not asked.
const HINT: Option<&str> = Some(CHAIN.workflow_id);

/// Ann's link, where she is asked for a number with an approval.
fn asking() -> (GenuineLink, ApprovalState) {
    let budget = Field {
        name: "budget".into(),
        label: "Budget".into(),
        r#type: "number".into(),
        required_for: vec!["approve".into()],
        ..Field::default()
    };
    let submission = Submission { fields: vec![budget], ..Submission::default() };
    let digest = digest(&serde_json::to_value(&submission).expect("JSON"));
    let link = keys().first().link(LinkContext::new(CHAIN, &digest, "ann@example.com"));
    let mut state = state(Status::Pending, None);
    state.stages[0].reviewers[0].link = link.hash().as_str().into();
    (link, ApprovalState { submission: Some(submission), ..state })
}

fn answers(value: &str) -> Answers {
    [("budget".to_owned(), value.to_owned())].into()
}

#[tokio::test(start_paused = true)]
async fn only_answers_that_the_fields_ask_for_are_sent_and_signed_in_their_canonical_form() {
    let (link, pending) = asking();
    let voted = {
        let mut state = pending.clone();
        let said = Statement::Vote {
            verdict: Verdict::Approve,
            comment: &comment_hash(""),
            answers: &answers::hash(&answers("1500")),
        };
        let answer = v1::Answer { name: "budget".into(), value: "1500".into(), ..<_>::default() };
        state.stages[0].reviewers[0].vote = Some(Vote {
            verdict: Verdict::Approve.into(),
            by: "link".into(),
            answers: vec![answer],
            proof: Some(link.prove(said, Timestamp::UNIX_EPOCH)),
            ..Vote::default()
        });
        state
    };
    let counts = move |world: &mut World| {
        world.runs[0].says = voted.clone();
        Ok(())
    };
    let world = World::default().run("first", Running, pending).signal(counts);
    let (approvals, world) = approvals(world).await;
    let decide = async |answers: &Answers| {
        let press = Press { answers, ..press(Verdict::Approve) };
        approvals.signal(&link, HINT, press).await.map(|(answer, _)| answer)
    };
    let other = [("budgets".to_owned(), "1500".to_owned())].into();
    for wrong in [Answers::new(), answers("much"), answers("1.500"), answers(" "), other] {
        assert_eq!(decide(&wrong).await, Ok(Answer::Unanswered), "{wrong:?}");
    }
    assert!(world.lock().expect("a lock").sent.is_empty(), "nothing is recorded");
    assert_eq!(decide(&answers("1500.0")).await, Ok(Answer::Recorded));
    assert_eq!(decide(&answers("much")).await, Ok(Answer::AlreadyRecorded));
    let said = world.lock().expect("a lock").said.clone();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].answers, answers("1500"));
    let statement = Statement::Vote {
        verdict: Verdict::Approve,
        comment: &comment_hash(""),
        answers: &answers::hash(&answers("1500")),
    };
    let proof = said[0].proof.as_ref().expect("signed");
    assert!(proof.proves(&link.public_key(), link.hash().as_str(), statement));
}

#[tokio::test(start_paused = true)]
async fn what_confirms_a_decision_confirms_its_answers_too() {
    let (link, pending) = asking();
    let confirming = ApprovalState { confirm: true, ..pending };
    let world = World::default().run("first", Running, confirming);
    let (approvals, world) = approvals(world.signal(|_| Ok(())).signal(|_| Ok(()))).await;
    let decide = async |value: &str, nonce: &str| {
        let answers = &answers(value);
        let press = Press { answers, nonce, ..press(Verdict::Approve) };
        approvals.signal(&link, HINT, press).await.map(|(answer, _)| answer)
    };
    assert_eq!(decide("much", "").await, Ok(Answer::Unanswered), "that comes first");
    let nonce = link.nonce(Verdict::Approve, "", &answers("1500"), Timestamp::now());
    assert_eq!(decide("1600", &nonce).await, Ok(Answer::Unconfirmed));
    assert!(world.lock().expect("a lock").sent.is_empty(), "nothing is recorded");
    let _ = decide("1500.0", &nonce).await;
    assert!(!world.lock().expect("a lock").sent.is_empty(), "it is confirmed");
}
