//! What operators did, against what the server has recorded of it.
//!
//! A vote without a proof, a reassignment, a reminder, a new link and a withdrawal certify nothing by
//! themselves: who answers a workflow task can make them up. But only the server writes events, their order
//! and who starts whom. So each act that an outcome tells of has to have been signalled (or, for a withdrawal, a
//! cancellation asked for) in a run of that approval; nobody is told of any other one, and none is signed.
//!
//! - The runs are the caller's and those that it continues, back to the first one, which has to be the
//!   approval's. A run that was reset has the signals that were applied again.
//! - For a notice that another workflow delivers, they are the approval's newest run and those before it. If
//!   the ID is in use for another approval by now, they are the first run and those that continued it.
//! - An earlier run that the server has no more may have had any signal. An approval may be open for longer
//!   than the namespace keeps closed runs, and has to end all the same.
//! - A signal in an encoding that is not ours, or encrypted under a key that is not here, matches by its name and its
//!   sender: a payload codec may have made it of anything.
//!
//! Only where an operator acted is anything read. What was read also says which operator it was: from 1.31
//! on, a server that authenticates its callers can write a principal into each event, which the SDK drops on
//! the way to the workflow. It is evidence and no more: after a reset, the signals that are applied again carry
//! the principal of who has reset the workflow.

use std::time::Duration;

use countersign_connection::decoded;
use countersign_protos::{
    Chain, Statement, answers, comment_hash, names,
    payload::{self, Encoding, Payload, PayloadError},
    submission,
    text::{self, clean_line},
    v1::{
        Decision, OperatorAction, Outcome, Proof, Reassignment, Reissue, Reminder, Submission, Vote,
    },
};
use temporalio_client::{
    Client,
    grpc::WorkflowService,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    history::v1::{
        HistoryEvent, WorkflowExecutionStartedEventAttributes, history_event::Attributes,
    },
    workflowservice::v1::GetWorkflowExecutionHistoryRequest,
};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::time::timeout;

use super::{NOT_GENUINE, failure, refusal};
use crate::{
    approval::{EmailAddress, Entry, UNKNOWN},
    payload::from_temporal,
    recorded::Evidence,
};

/// How long the server may take for one page of a history.
const WITHIN: Duration = Duration::from_secs(3);

/// Checks that the server has each act of an operator of which this outcome of an approval tells. Returns the
/// history in which it was looked for first, or nothing if no operator acted.
///
/// # Errors
/// `NotGenuine` if it has not, or if the caller goes on with another approval. Otherwise the check is to be
/// repeated.
pub(super) async fn check(
    outcome: &Outcome,
    evidence: &Evidence,
    ctx: &ActivityContext,
    workflow_id: &str,
) -> Result<Vec<HistoryEvent>, ActivityError> {
    let chain = Chain { workflow_id, first_run_id: &evidence.first_run_id };
    find(acts(outcome, evidence), ctx, chain).await
}

/// Checks that the server has the signal by which an operator who claims this identity had one person asked
/// in another's place.
///
/// # Errors
/// As [`check`].
pub(super) async fn check_reassignment(
    from: &EmailAddress,
    to: &EmailAddress,
    identity: &str,
    ctx: &ActivityContext,
    chain: Chain<'_>,
) -> Result<(), ActivityError> {
    let action = OperatorAction {
        action: names::SIGNAL_REASSIGN.to_owned(),
        identity: identity.to_owned(),
        reviewer: from.to_string(),
        to: to.to_string(),
        ..OperatorAction::default()
    };
    find(vec![Act::Action(&action)], ctx, chain).await.map(drop)
}

/// Checks that the server has the signal by which an operator who claims this identity has revised it so.
///
/// # Errors
/// As [`check`].
pub(super) async fn check_revision(
    submission: &Submission,
    identity: &str,
    ctx: &ActivityContext,
    chain: Chain<'_>,
) -> Result<(), ActivityError> {
    find(vec![Act::Revision(submission, identity)], ctx, chain).await.map(drop)
}

/// Looks for acts in the histories of an approval's runs.
async fn find(
    mut missing: Vec<Act<'_>>,
    ctx: &ActivityContext,
    chain: Chain<'_>,
) -> Result<Vec<HistoryEvent>, ActivityError> {
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let (info, Chain { workflow_id, first_run_id }) = (ctx.info(), chain);
    let runs = Runs { client: ctx.client(), namespace: &info.namespace, workflow_id };
    let called_by = info.workflow_id.as_deref().zip(info.workflow_run_id.as_deref());
    let own = called_by.filter(|(caller, _)| *caller == workflow_id).map(|(_, run)| run);
    let (newest, next): (_, Next) = match (runs.read(own.unwrap_or_default()).await?, own) {
        (Some(events), _) if is_of(&events, first_run_id) => (events, before),
        (Some(_), Some(_)) => return Err(refusal(NOT_GENUINE, "this run is not the approval's")),
        (None, Some(_)) => return Err(unread("the server does not have this run")),
        (_, None) => match runs.read(first_run_id).await? {
            Some(events) => (events, after),
            None => return Err(refusal(NOT_GENUINE, "the server has no run of this approval")),
        },
    };
    missing.retain(|act| !act.is_in(&newest));
    let mut following = next(&newest);
    while let (Some(act), Some(run)) = (missing.first(), following) {
        let Some(events) = runs.read(&run).await? else {
            tracing::warn!(workflow_id, run, act = act.name(), "not checked: the run is gone");
            return Ok(newest);
        };
        missing.retain(|act| !act.is_in(&events));
        following = next(&events);
    }
    match missing.first() {
        None => Ok(newest),
        Some(act) => Err(refusal(NOT_GENUINE, format!("nobody has signalled: {}", act.name()))),
    }
}

/// Adds the principals to what operators did, where the history has them. A run that continues another may
/// have counted signals to the one before: it names nobody.
pub(super) fn name(outcome: &mut Outcome, events: &[HistoryEvent]) {
    if before(events).is_some() {
        return;
    }
    for action in &mut outcome.operator_actions {
        action.principal = principal(events, |event| is_action(event, action));
    }
    let latest = outcome.version();
    let votes = outcome.stages.iter_mut().flat_map(|stage| &mut stage.decisions);
    for vote in votes.filter(|vote| vote.by == names::BY_OPERATOR) {
        vote.principal = principal(events, |event| is_vote(event, vote, latest));
    }
    for version in &mut outcome.earlier_versions {
        if version.by == names::BY_OPERATOR {
            let identity = &version.identity;
            let is_it =
                |event: &HistoryEvent| signal(event, names::SIGNAL_REVISE, identity).is_some();
            version.principal = principal(events, is_it);
        }
        let number = version.version();
        if let Some(vote) = version.request.as_mut().filter(|vote| vote.by == names::BY_OPERATOR) {
            vote.principal = principal(events, |event| is_vote(event, vote, number));
        }
    }
}

/// The run that follows in the order in which they are looked at.
type Next = fn(&[HistoryEvent]) -> Option<String>;

/// The runs of a workflow ID.
struct Runs<'a> {
    client: Client,
    namespace: &'a str,
    workflow_id: &'a str,
}

impl Runs<'_> {
    /// What has happened to a run, or to the newest one if no ID is given. `None` if the server does not have
    /// it (any more).
    async fn read(&self, run_id: &str) -> Result<Option<Vec<HistoryEvent>>, ActivityError> {
        let mut request = GetWorkflowExecutionHistoryRequest {
            namespace: self.namespace.to_owned(),
            execution: Some(WorkflowExecution {
                workflow_id: self.workflow_id.to_owned(),
                run_id: run_id.to_owned(),
            }),
            ..GetWorkflowExecutionHistoryRequest::default()
        };
        let (mut client, mut all) = (self.client.clone(), Vec::new());
        loop {
            let page = client.get_workflow_execution_history(request.clone().into_request());
            let page = match timeout(WITHIN, page).await {
                Ok(Ok(page)) => page.into_inner(),
                Ok(Err(status)) if is_gone(&status) => return Ok(None),
                Ok(Err(status)) => return Err(unread(status.message())),
                Err(_) => return Err(unread("no answer in time")),
            };
            let page = decoded(&self.client, page).await;
            all.extend(page.history.unwrap_or_default().events);
            if page.next_page_token.is_empty() {
                return Ok(Some(all));
            }
            request.next_page_token = page.next_page_token;
        }
    }
}

/// A server that has just started may not know its namespaces yet.
fn is_gone(status: &Status) -> bool {
    let details = String::from_utf8_lossy(status.details());
    status.code() == Code::NotFound && !details.contains("errordetails.v1.NamespaceNotFoundFailure")
}

fn unread(why: &str) -> ActivityError {
    failure("HistoryUnavailable", format!("what operators did cannot be checked yet: {why}"))
}

fn started(events: &[HistoryEvent]) -> Option<&WorkflowExecutionStartedEventAttributes> {
    match events.first()?.attributes.as_ref()? {
        Attributes::WorkflowExecutionStartedEventAttributes(started) => Some(started),
        _ => None,
    }
}

/// Whether a run belongs to the approval that began with this one.
fn is_of(events: &[HistoryEvent], first_run_id: &str) -> bool {
    started(events).is_some_and(|started| started.first_execution_run_id == first_run_id)
}

/// The run that this one continues.
fn before(events: &[HistoryEvent]) -> Option<String> {
    started(events).and_then(|started| given(&started.continued_execution_run_id))
}

/// The run that continues this one.
fn after(events: &[HistoryEvent]) -> Option<String> {
    let next = match events.last()?.attributes.as_ref()? {
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(end) => {
            &end.new_execution_run_id
        }
        Attributes::WorkflowExecutionCompletedEventAttributes(end) => &end.new_execution_run_id,
        Attributes::WorkflowExecutionFailedEventAttributes(end) => &end.new_execution_run_id,
        Attributes::WorkflowExecutionTimedOutEventAttributes(end) => &end.new_execution_run_id,
        _ => return None,
    };
    given(next)
}

/// A run's ID, if there is one.
fn given(id: &str) -> Option<String> {
    (!id.is_empty()).then(|| id.to_owned())
}

/// Something that an operator did.
#[derive(Debug)]
enum Act<'a> {
    Action(&'a OperatorAction),
    /// By who claims this identity.
    Revision(&'a Submission, &'a str),
    /// With the public key of the seat's link, for this version.
    Vote(&'a Vote, &'a str, u32),
}

/// All acts of which an outcome tells.
fn acts<'a>(outcome: &'a Outcome, evidence: &'a Evidence) -> Vec<Act<'a>> {
    let invited = |entry: &'a Entry| match entry {
        Entry::Asked { invited, .. } => &invited[..],
        _ => &[],
    };
    let key = |link: &str| {
        let mut seats = evidence.journal.iter().flat_map(invited);
        seats.find(|seat| seat.link == link).map_or("", |seat| &*seat.key)
    };
    let votes = outcome.stages.iter().flat_map(|stage| &stage.decisions);
    let votes = votes.filter(|vote| vote.by == names::BY_OPERATOR);
    let votes = votes.map(|vote| Act::Vote(vote, key(&vote.link), outcome.version()));
    outcome.operator_actions.iter().map(Act::Action).chain(votes).collect()
}

impl Act<'_> {
    fn is_in(&self, events: &[HistoryEvent]) -> bool {
        events.iter().any(|event| match self {
            Act::Action(action) => is_action(event, action),
            Act::Revision(submission, identity) => is_revision(event, submission, identity),
            Act::Vote(vote, key, version) => {
                is_vote(event, vote, *version) && !is_own(event, vote, key)
            }
        })
    }

    /// For people who read logs and failures.
    fn name(&self) -> String {
        match self {
            Act::Action(action) => format!("{} {}", action.action, action.reviewer),
            Act::Revision(_, identity) => format!("{} by {identity}", names::SIGNAL_REVISE),
            Act::Vote(vote, ..) => {
                format!("{} for {}", vote.verdict().as_str_name(), vote.reviewer)
            }
        }
    }
}

/// The principal of the events that may be the one that counted; empty if they differ.
fn principal(events: &[HistoryEvent], may_be: impl Fn(&HistoryEvent) -> bool) -> String {
    let candidates = events.iter().filter(|event| may_be(event));
    let mut principals = candidates.map(|event| event.principal.as_ref());
    match principals.next() {
        Some(Some(one)) if principals.all(|other| other == Some(one)) => {
            clean_line(&format!("{}:{}", one.r#type, one.name))
        }
        _ => String::new(),
    }
}

fn is_action(event: &HistoryEvent, action: &OperatorAction) -> bool {
    let Some(payloads) = signal(event, &action.action, &action.identity) else {
        // Nobody knows who has cancelled, and that is shown as an unknown withdrawal.
        let is_cancelled = matches!(
            event.attributes,
            Some(Attributes::WorkflowExecutionCancelRequestedEventAttributes(_))
        );
        return is_cancelled
            && action.action == names::SIGNAL_WITHDRAW
            && action.identity == UNKNOWN;
    };
    match &*action.action {
        names::SIGNAL_REASSIGN => may_say(payload::decode(&payloads), |read: &Reassignment| {
            // Mail goes to this very address, and not to one that looks like it.
            let to = read.to.trim().parse::<EmailAddress>();
            is_same(&read.reviewer, &action.reviewer) && to.is_ok_and(|to| to.as_str() == action.to)
        }),
        names::SIGNAL_REMIND => may_say(payload::decode_optional(&payloads), |read: &Reminder| {
            concerns(&read.reviewer, action)
        }),
        names::SIGNAL_REISSUE => may_say(payload::decode_optional(&payloads), |read: &Reissue| {
            concerns(&read.reviewer, action)
        }),
        _ => true,
    }
}

/// Whether a signal for this reviewer, or for all, is that action.
fn concerns(written: &str, action: &OperatorAction) -> bool {
    match &*action.reviewer {
        "" => written.trim().is_empty(),
        reviewer => is_same(written, reviewer),
    }
}

fn is_vote(event: &HistoryEvent, vote: &Vote, version: u32) -> bool {
    let Some(verdict) = vote.verdict().known() else { return false };
    let payloads = signal(event, verdict.terms().name, &vote.identity);
    payloads.is_some_and(|payloads| {
        may_say(answers::decision(&payloads), |decision: &Decision| {
            let is_theirs = decision.link.trim() == vote.link
                || is_same(&decision.reviewer, &vote.reviewer)
                || is_same(&decision.reviewer, &vote.on_behalf_of);
            // A notice may leave a comment out, and answers.
            is_theirs
                && decision.is_for(version)
                && (vote.comment.is_empty() || text::comment(&decision.comment) == vote.comment)
                && (vote.answers.is_empty() || answers::are_of(&decision.answers, &vote.answers))
        })
    })
}

/// Whether the reviewer has pressed so: what is told as an operator's vote is none then.
fn is_own(event: &HistoryEvent, vote: &Vote, key: &str) -> bool {
    let Some(verdict) = vote.verdict().known() else { return false };
    let payloads = signal(event, verdict.terms().name, &vote.identity).unwrap_or_default();
    let Ok(decision) = answers::decision(&payloads) else { return false };
    let comment = &comment_hash(&text::comment(&decision.comment));
    let answers = &answers::hash(&decision.answers);
    let said = Statement::Vote { verdict, comment, answers };
    let holds = |proof: &Proof| proof.proves(key, &vote.link, said);
    decision.link.trim() == vote.link && decision.proof.as_ref().is_some_and(holds)
}

/// As the workflow reads it.
fn is_revision(event: &HistoryEvent, submission: &Submission, identity: &str) -> bool {
    let payloads = signal(event, names::SIGNAL_REVISE, identity);
    payloads.is_some_and(|payloads| match payload::single(&payloads) {
        Ok(one) if Encoding::of(&one.metadata).is_err() => true,
        _ => submission::read_revision(&payloads).0.submission.as_ref() == Some(submission),
    })
}

/// Whether a payload says so, or may say anything since a codec that is not here has encoded it.
fn may_say<M>(decoded: Result<M, PayloadError>, says: impl FnOnce(&M) -> bool) -> bool {
    match decoded {
        Ok(read) => says(&read),
        Err(PayloadError::Encoding(_) | PayloadError::Encrypted(_)) => true,
        Err(_) => false,
    }
}

/// The payloads of a signal of this name by who claims this identity, which may be unknown.
fn signal(event: &HistoryEvent, name: &str, identity: &str) -> Option<Vec<Payload>> {
    let Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)) = &event.attributes
    else {
        return None;
    };
    // A withdrawal by nobody knows whom is a cancellation, which rules cannot forbid.
    let may_be_anybody = identity == UNKNOWN && name != names::SIGNAL_WITHDRAW;
    let claims = may_be_anybody || text::identity(&signal.identity) == identity;
    let payloads = signal.input.clone().unwrap_or_default().payloads;
    (signal.signal_name == name && claims).then(|| from_temporal(payloads))
}

fn is_same(written: &str, reviewer: &str) -> bool {
    let address = |text: &str| text.trim().parse::<EmailAddress>().ok();
    address(written).is_some_and(|written| address(reviewer) == Some(written))
}

#[cfg(test)]
mod tests;
