//! Decisions, as a Temporal that is told what to answer takes them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use countersign_protos::{
    ApprovalId,
    payload::{self, Encoding},
    v1::{
        ApprovalState, Outcome, ReviewerState, StageOutcome, StageState, Status, Submission, Vote,
    },
};
use prost::Message;
use temporalio_client::{
    ClientOptions, ConnectionOptions,
    callback_based::{CallbackBasedGrpcService, GrpcRequest, GrpcSuccessResponse},
    tonic::{self, Code},
};
use temporalio_common::{
    protos::temporal::api::{
        common::v1::{Payloads, WorkflowExecution},
        enums::v1::WorkflowExecutionStatus::{
            self, Completed, ContinuedAsNew, Running, Terminated,
        },
        history::v1::{
            History, HistoryEvent, WorkflowExecutionCompletedEventAttributes,
            WorkflowExecutionStartedEventAttributes, history_event::Attributes,
        },
        query::v1::QueryRejected,
        workflow::v1::WorkflowExecutionInfo,
        workflowservice::v1::{
            DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse,
            GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse,
            ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse, QueryWorkflowRequest,
            QueryWorkflowResponse,
        },
    },
    search_attributes::SearchAttributes,
};
use tokio::task::yield_now;

use super::*;
use crate::{approvals::LINKS, judgement::on_look};

fn link() -> LinkHash {
    "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
}

/// What the workflow says of Ann, whose link it is, and of the approval.
fn state(status: Status, vote: Option<Verdict>) -> ApprovalState {
    let vote = vote.map(|verdict| Vote {
        verdict: verdict.into(),
        link: link().as_str().into(),
        ..Vote::default()
    });
    let ann = ReviewerState { link: link().as_str().into(), vote, ..ReviewerState::default() };
    let stage = StageState { status: status.into(), reviewers: vec![ann], ..StageState::default() };
    ApprovalState {
        status: status.into(),
        submission: Some(Submission::default()),
        stages: vec![stage],
        ..ApprovalState::default()
    }
}

struct Run {
    id: &'static str,
    status: WorkflowExecutionStatus,
    /// What its query answers.
    says: ApprovalState,
    /// Whether the index shows it.
    indexed: bool,
}

impl Run {
    fn info(&self, started: u64) -> WorkflowExecutionInfo {
        let reviewers = self.says.stages.iter().flat_map(|stage| &stage.reviewers);
        let links: Vec<String> = reviewers.map(|reviewer| reviewer.link.clone()).collect();
        let execution =
            WorkflowExecution { workflow_id: "approval".into(), run_id: self.id.into() };
        let at = |nanos| SystemTime::UNIX_EPOCH + Duration::new(started, nanos);
        let over = self.status != Running;
        WorkflowExecutionInfo {
            execution: Some(execution),
            status: self.status.into(),
            start_time: Some(at(0).into()),
            close_time: over.then_some(at(1).into()),
            search_attributes: Some(SearchAttributes::new([LINKS.value_set(links)]).to_proto()),
            ..Default::default()
        }
    }

    fn begins(&self) -> Attributes {
        let payloads = vec![payload::encode(&Submission::default(), Encoding::JsonPlain)];
        Attributes::WorkflowExecutionStartedEventAttributes(
            WorkflowExecutionStartedEventAttributes {
                input: Some(Payloads { payloads }),
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
        let outcome =
            Outcome { status: self.says.status, stages: stages.collect(), ..Outcome::default() };
        let payloads = vec![payload::encode(&outcome, Encoding::JsonPlain)];
        Attributes::WorkflowExecutionCompletedEventAttributes(
            WorkflowExecutionCompletedEventAttributes {
                result: Some(Payloads { payloads }),
                ..Default::default()
            },
        )
    }
}

/// What a signal does, and how it is answered.
type Signal = Box<dyn FnOnce(&mut World) -> Result<(), Code> + Send>;

/// All that Temporal has.
#[derive(Default)]
struct World {
    runs: Vec<Run>,
    signals: VecDeque<Signal>,
    descriptions: usize,
    /// Whether no worker runs.
    unattended: bool,
    /// Whether it is asked for its namespace too often.
    busy: bool,
}

impl World {
    fn run(
        mut self,
        id: &'static str,
        status: WorkflowExecutionStatus,
        says: ApprovalState,
    ) -> Self {
        self.runs.push(Run { id, status, says, indexed: true });
        self
    }

    fn signal(
        mut self,
        does: impl FnOnce(&mut World) -> Result<(), Code> + Send + 'static,
    ) -> Self {
        self.signals.push_back(Box::new(does));
        self
    }

    fn answer(&mut self, request: &GrpcRequest) -> Result<Vec<u8>, tonic::Status> {
        match request.rpc.as_str() {
            "DescribeNamespace" if self.busy => {
                Err(tonic::Status::resource_exhausted("too many requests"))
            }
            "GetSystemInfo" | "DescribeNamespace" => Ok(Vec::new()),
            "ListWorkflowExecutions" => {
                let asked = ListWorkflowExecutionsRequest::decode(request.proto.clone());
                let query = asked.expect("a query").query;
                assert_eq!(query, format!("ApprovalLinks = '{}'", link().as_str()));
                let indexed = (0..).zip(&self.runs).filter(|(_, run)| run.indexed);
                let executions = indexed.map(|(started, run)| run.info(started)).collect();
                Ok(ListWorkflowExecutionsResponse { executions, ..Default::default() }
                    .encode_to_vec())
            }
            "QueryWorkflow" if self.unattended => {
                Err(tonic::Status::failed_precondition("no worker"))
            }
            "QueryWorkflow" => {
                let asked = QueryWorkflowRequest::decode(request.proto.clone()).expect("a query");
                let run_id = asked.execution.unwrap_or_default().run_id;
                let run = self.runs.iter().find(|run| run.id == run_id).expect("a run");
                let clean = matches!(run.status, Running | Completed);
                let rejects = asked.query_reject_condition == 3 && !clean;
                let payloads = vec![payload::encode(&run.says, Encoding::JsonPlain)];
                Ok(QueryWorkflowResponse {
                    query_result: (!rejects).then_some(Payloads { payloads }),
                    query_rejected: rejects.then_some(QueryRejected { status: run.status.into() }),
                    ..Default::default()
                }
                .encode_to_vec())
            }
            "DescribeWorkflowExecution" => {
                let asked = DescribeWorkflowExecutionRequest::decode(request.proto.clone());
                let run_id = asked.expect("a request").execution.unwrap_or_default().run_id;
                let mut runs = (0..).zip(&self.runs);
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
                let run = self.runs.iter().find(|run| run.id == run_id).expect("a run");
                let closing = asked.history_event_filter_type == 2;
                let attributes = Some(if closing { run.ends() } else { run.begins() });
                let events = vec![HistoryEvent { attributes, ..HistoryEvent::default() }];
                Ok(GetWorkflowExecutionHistoryResponse {
                    history: Some(History { events }),
                    ..Default::default()
                }
                .encode_to_vec())
            }
            "SignalWorkflowExecution" => {
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
async fn approvals(world: World) -> (Approvals, Arc<Mutex<World>>) {
    let world = Arc::new(Mutex::new(world));
    let asked = world.clone();
    let callback = Arc::new(move |request: GrpcRequest| {
        let proto = asked.lock().expect("a lock").answer(&request);
        let answer = proto.map(|proto| GrpcSuccessResponse { headers: Default::default(), proto });
        Box::pin(std::future::ready(answer)) as _
    });
    let connection =
        ConnectionOptions::new("http://temporal.example".parse::<url::Url>().expect("a URL"))
            .service_override(CallbackBasedGrpcService { callback })
            .dns_load_balancing(None)
            .build();
    let approvals = Approvals::connect(connection, ClientOptions::new("default").build());
    while !approvals.ready().await {
        yield_now().await;
    }
    (approvals, world)
}

/// What comes of Ann's approval.
async fn approve(world: World) -> Result<Answer, NotDecided> {
    let (approvals, _) = approvals(world).await;
    approvals.decide(&link(), Verdict::Approve, "").await.map(|(answer, _)| answer)
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
    assert_eq!(approve(lost).await, Err(NotDecided::Unknown));
}

#[tokio::test(start_paused = true)]
async fn nothing_was_recorded_where_every_attempt_was_refused() {
    let closed = World::default()
        .run("first", Running, state(Status::Pending, None))
        .signal(|_| Err(Code::NotFound))
        .signal(|_| Err(Code::NotFound));
    assert_eq!(approve(closed).await, Err(NotDecided::NothingRecorded));
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_makes_the_run_continue_is_answered_by_the_next_run() {
    let continues = |indexed| {
        move |world: &mut World| {
            world.runs[0].status = ContinuedAsNew;
            world.runs[0].says = ApprovalState::default();
            let says = state(Status::Pending, Some(Verdict::Approve));
            world.runs.push(Run { id: "next", status: Running, says, indexed });
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
    let answer = approvals.decide(&link(), Verdict::Approve, "").await.map(|(answer, _)| answer);
    assert_eq!(answer, Ok(Answer::Recorded));

    let says = state(Status::Pending, None);
    let goes_on = Run { id: "reset", status: Running, says, indexed: false };
    world.lock().expect("a lock").runs.push(goes_on);
    for _ in 0..2 {
        let (_, reading) = approvals.find(&link()).await.expect("found");
        assert_eq!(on_look(&reading, link().as_str()), Answer::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_is_reset_while_no_worker_runs_takes_decisions_again() {
    let pending = World::default().run("first", Running, state(Status::Pending, None));
    let (approvals, world) = approvals(pending.signal(|_| Ok(()))).await;
    approvals.find(&link()).await.expect("found");
    {
        let mut world = world.lock().expect("a lock");
        world.runs[0].status = Completed;
        world.runs[0].says = state(Status::Approved, Some(Verdict::Approve));
        let says = state(Status::Pending, None);
        world.runs.push(Run { id: "reset", status: Running, says, indexed: false });
        world.unattended = true;
    }
    let answer = approvals.decide(&link(), Verdict::Approve, "").await.map(|(answer, _)| answer);
    assert_eq!(answer, Ok(Answer::Accepted), "the earlier vote is no longer there");
}

#[tokio::test(start_paused = true)]
async fn a_pending_approval_that_is_reset_goes_on_before_the_index_shows_it() {
    let pending = || state(Status::Pending, None);
    let (approvals, world) = approvals(World::default().run("first", Running, pending())).await;
    approvals.find(&link()).await.expect("found");
    {
        let mut world = world.lock().expect("a lock");
        world.runs[0].status = Terminated;
        world.runs.push(Run { id: "reset", status: Running, says: pending(), indexed: false });
    }
    let (_, reading) = approvals.find(&link()).await.expect("found");
    assert_eq!(on_look(&reading, link().as_str()), Answer::Open);
}

#[tokio::test(start_paused = true)]
async fn a_temporal_that_is_asked_too_often_still_knows_what_is_gone() {
    let (approvals, world) = approvals(World::default()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.lock().expect("a lock").busy = true;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(approvals.find(&link()).await.map(drop), Err(Unreadable::Gone));
}

#[tokio::test(start_paused = true)]
async fn of_several_runs_in_the_index_the_one_that_goes_on_matters() {
    let voted = || state(Status::Pending, Some(Verdict::Reject));
    let world = World::default().run("first", Running, state(Status::Pending, None)).run(
        "second",
        Terminated,
        voted(),
    );
    let (approvals, _) = approvals(world).await;
    let (_, reading) = approvals.find(&link()).await.expect("found");
    assert_eq!(on_look(&reading, link().as_str()), Answer::Open);
    let over = World::default().run("first", Terminated, voted()).run(
        "second",
        Completed,
        state(Status::Approved, Some(Verdict::Approve)),
    );
    let (approvals, _) = self::approvals(over).await;
    let (_, reading) = approvals.find(&link()).await.expect("found");
    assert_eq!(on_look(&reading, link().as_str()), Answer::Decided);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_stays_that_of_its_link_and_is_seldom_looked_at_again() {
    let elsewhere = ApprovalState { stages: Vec::new(), ..state(Status::Pending, None) };
    let reused = World::default().run("first", Completed, state(Status::Approved, None));
    let (approvals, world) = approvals(reused).await;
    let says_otherwise = Run { id: "other", status: Running, says: elsewhere, indexed: false };
    world.lock().expect("a lock").runs.push(says_otherwise);
    for _ in 0..3 {
        let (_, reading) = approvals.find(&link()).await.expect("found");
        assert_eq!(on_look(&reading, link().as_str()), Answer::Decided);
    }
    assert_eq!(world.lock().expect("a lock").descriptions, 1);
}
