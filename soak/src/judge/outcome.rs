//! Whether what an outcome, a notice or a page says follows from what people did.

use std::time::Duration;

use countersign_e2e::{list, text};
use serde_json::Value;

use super::facts::{Approval, Facts, OperatorAct};
use crate::submission::{Quorum, Stage};

/// What every press says as its comment.
pub(crate) const COMMENT: &str = "By page";

/// What an outcome, a notice or a page says of an approval.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Its status; `None` where it is not said.
    pub(super) status: Option<String>,
    /// What decided, and whether an operator had a part in it, where it is said.
    pub(super) basis: Option<(String, bool)>,
    /// Its stages, in order.
    pub(super) stages: Vec<StageView>,
    /// Whom operators had asked, each instead of another.
    pub(super) reassigned: Vec<(String, String)>,
    /// Whether it may show as open what has been decided.
    pub(super) may_lag: bool,
}

/// What it says of a stage.
#[derive(Debug, Clone, Default)]
pub(super) struct StageView {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) votes: Vec<VoteView>,
    /// Who was asked and has not decided, where it is said.
    pub(super) undecided: Vec<String>,
}

/// What it says of a vote.
#[derive(Debug, Clone, Default)]
pub(super) struct VoteView {
    pub(super) reviewer: String,
    pub(super) approves: bool,
    /// Whether it is the reviewer's own.
    pub(super) by_link: bool,
    /// What was written with it, where that is said.
    pub(super) comment: Option<String>,
    /// The hash of the link, where it is said.
    pub(super) link: Option<String>,
    /// When it was counted, where it is said.
    pub(super) at: Option<Duration>,
}

impl View {
    pub(super) fn of_outcome(outcome: &Value) -> View {
        let stage = |stage: &Value| StageView {
            name: text(&stage["name"]),
            status: text(&stage["status"]),
            votes: list(&stage["decisions"])
                .map(|vote| VoteView::of(&vote["reviewer"], vote))
                .collect(),
            undecided: list(&stage["undecided"]).map(text).collect(),
        };
        View {
            status: Some(text(&outcome["status"])),
            basis: Some((text(&outcome["basis"]), outcome["operator"] == true)),
            stages: list(&outcome["stages"]).map(stage).collect(),
            reassigned: reassigned(outcome),
            may_lag: false,
        }
    }

    /// Of the JSON that a page has of an approval.
    pub(super) fn of_page(state: &Value) -> View {
        let stage = |stage: &Value| {
            let voters = list(&stage["reviewers"]).filter(|reviewer| reviewer["vote"].is_object());
            // A page shows comments only to whoever may decide, or has decided.
            let vote = |reviewer: &Value| VoteView {
                comment: reviewer["vote"]["comment"].as_str().map(str::to_owned),
                ..VoteView::of(&reviewer["reviewer"], &reviewer["vote"])
            };
            let (name, status) = (text(&stage["name"]), text(&stage["status"]));
            let silent = list(&stage["reviewers"]).filter(|reviewer| !reviewer["vote"].is_object());
            let undecided = silent.map(|reviewer| text(&reviewer["reviewer"])).collect();
            StageView { name, status, votes: voters.map(vote).collect(), undecided }
        };
        View {
            status: Some(text(&state["status"])),
            basis: None,
            stages: list(&state["stages"]).map(stage).collect(),
            reassigned: reassigned(state),
            may_lag: true,
        }
    }

    /// All votes, of all stages.
    pub(super) fn votes(&self) -> impl Iterator<Item = &VoteView> {
        self.stages.iter().flat_map(|stage| &stage.votes)
    }
}

impl VoteView {
    fn of(reviewer: &Value, vote: &Value) -> VoteView {
        let at = vote["decidedAt"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        VoteView {
            reviewer: text(reviewer),
            approves: vote["verdict"] == "APPROVE",
            by_link: vote["by"] == "link",
            comment: Some(vote["comment"].as_str().unwrap_or_default().to_owned()),
            link: vote["link"].as_str().filter(|link| !link.is_empty()).map(str::to_owned),
            at: at.and_then(|at| at.as_duration().try_into().ok()),
        }
    }
}

fn reassigned(outcome: &Value) -> Vec<(String, String)> {
    let actions = list(&outcome["operatorActions"]);
    let reassigned = actions.filter(|action| action["action"] == "reassign");
    reassigned.map(|action| (text(&action["reviewer"]), text(&action["to"]))).collect()
}

/// Whether each vote is explained, whatever is made of them, and everybody shown as asked was asked.
///
/// # Errors
/// Who was not, or which vote is not.
pub(super) fn explain_votes(facts: &Facts, approval: &Approval, view: &View) -> Result<(), String> {
    for (position, stage) in view.stages.iter().enumerate() {
        for vote in &stage.votes {
            explain_vote(facts, approval, position, vote)?;
        }
        for reviewer in &stage.undecided {
            if !facts.can_be_asked(approval, position, reviewer) {
                return Err(format!("{reviewer} was not asked in stage {position}"));
            }
        }
    }
    Ok(())
}

/// Whether all of it follows from what people did.
///
/// # Errors
/// What does not.
pub(super) fn explain(facts: &Facts, approval: &Approval, view: &View) -> Result<(), String> {
    let acts = facts.acts(&approval.workflow);
    for (from, to) in &view.reassigned {
        let act = OperatorAct::Reassign { from: from.clone(), to: to.clone() };
        if !acts.contains(&act) {
            return Err(format!("nobody has reassigned {from} to {to}"));
        }
    }
    let is_withdrawn = view.status.as_deref() == Some("WITHDRAWN");
    explain_votes(facts, approval, view)?;
    let (mut ended, mut by_deadline) = (None, false);
    for (position, stage) in view.stages.iter().enumerate() {
        let planned = approval.stages.get(position).ok_or("it has more stages than planned")?;
        if stage.name != format!("S{position}") {
            return Err(format!("it has no stage {:?}", stage.name));
        }
        let is_over = ended.is_some();
        // A page leaves open what a deadline has done to a stage until that is signed.
        let shown = match stage.status.as_str() {
            "" if view.may_lag => at_deadline(planned, &stage.votes),
            status => status,
        };
        let waits = matches!(shown, "PENDING" | "WITHDRAWN");
        match counted(planned, &stage.votes)? {
            _ if is_over && !(waits && stage.votes.is_empty()) => {
                return Err(format!("stage {position} goes on after the end"));
            }
            Some(status) if status == shown => {}
            None if waits => {}
            Some(_) if waits && view.may_lag => {}
            None if at_deadline(planned, &stage.votes) == shown => by_deadline = true,
            counted => {
                let status = &stage.status;
                return Err(format!(
                    "stage {position} is shown as {status}, and counted {counted:?}"
                ));
            }
        }
        if shown != "APPROVED" && !is_over {
            ended = Some(shown);
        }
    }
    let all_approved = ended.is_none() && view.stages.len() == approval.stages.len();
    let status = match ended {
        _ if is_withdrawn
            && !all_approved
            && matches!(ended, None | Some("PENDING" | "WITHDRAWN")) =>
        {
            if !acts.contains(&OperatorAct::Withdraw) {
                return Err("nobody has withdrawn it".to_owned());
            }
            "WITHDRAWN"
        }
        None if all_approved => "APPROVED",
        // A reviewer whose decision is no longer needed may be told so because of a withdrawal.
        Some("WITHDRAWN") if view.status.is_none() && acts.contains(&OperatorAct::Withdraw) => {
            "WITHDRAWN"
        }
        None => "PENDING",
        Some(status) => status,
    };
    if view.status.as_deref().is_some_and(|view| view != status) {
        return Err(format!("it is shown as {:?}, and is {status}", view.status));
    }
    explain_basis(facts, approval, view, status, by_deadline)
}

fn explain_basis(
    facts: &Facts,
    approval: &Approval,
    view: &View,
    status: &str,
    by_deadline: bool,
) -> Result<(), String> {
    let Some((basis, operator)) = &view.basis else { return Ok(()) };
    let expected = match (status, by_deadline) {
        ("WITHDRAWN", _) => "withdrawal",
        (_, true) => "deadline",
        _ => "people",
    };
    if basis != expected {
        return Err(format!("its basis is shown as {basis}, and is {expected}"));
    }
    let is_planned = |vote: &VoteView| {
        approval.stages.iter().any(|stage| stage.reviewers.contains(&vote.reviewer))
    };
    let named =
        |vote: &VoteView| facts.reassigned(&approval.workflow).any(|(_, to)| to == vote.reviewer);
    let had_a_part = view.votes().any(|vote| !vote.by_link || !is_planned(vote));
    // Somebody whom the plan names too may be asked again, instead of another.
    let may_have = had_a_part || view.votes().any(named);
    match operator {
        false if had_a_part => Err("an operator had a part, and it says none had".to_owned()),
        true if !may_have => Err("no operator had a part, and it says one had".to_owned()),
        _ => Ok(()),
    }
}

fn explain_vote(
    facts: &Facts,
    approval: &Approval,
    stage: usize,
    vote: &VoteView,
) -> Result<(), String> {
    let VoteView { reviewer, approves, .. } = vote;
    if !facts.can_be_asked(approval, stage, reviewer) {
        return Err(format!("{reviewer} was not asked in stage {stage}"));
    }
    if !vote.by_link {
        return match facts.has_operator_decided(approval, reviewer, *approves) {
            true => Ok(()),
            false => Err(format!("no operator has decided so for {reviewer}: {vote:?}")),
        };
    }
    if vote.comment.as_ref().is_some_and(|comment| comment != COMMENT) {
        return Err(format!("{reviewer} has not written so: {vote:?}"));
    }
    let is_own = |link: &str| {
        let seat = facts.seat(approval, link);
        seat.is_some_and(|seat| seat.stage == stage && seat.reviewer == *reviewer)
    };
    let pressed = facts.presses.iter().any(|press| {
        press.reviewer == *reviewer
            && press.approves == *approves
            && vote.link.as_ref().is_none_or(|link| *link == press.link)
            && vote.at.is_none_or(|at| press.at <= at)
            && is_own(&press.link)
    });
    match pressed {
        true => Ok(()),
        false => Err(format!("{reviewer} has not pressed so: {vote:?}")),
    }
}

/// What the votes make of a stage by themselves; `None` where it waits for more.
fn counted(planned: &Stage, votes: &[VoteView]) -> Result<Option<&'static str>, String> {
    for (position, vote) in votes.iter().enumerate() {
        if votes[..position].iter().any(|other| other.reviewer == vote.reviewer) {
            return Err(format!("{} has two votes", vote.reviewer));
        }
    }
    let asked = planned.reviewers.len();
    let approvals = votes.iter().filter(|vote| vote.approves).count();
    let rejections = votes.len() - approvals;
    let (needed, hopeless) = match planned.quorum {
        Quorum::Any => (1, rejections > 0),
        Quorum::All => (asked, rejections > 0),
        Quorum::Of(needed) => (needed, asked.saturating_sub(rejections) < needed),
    };
    Ok(match (approvals >= needed, hopeless) {
        (true, _) => Some("APPROVED"),
        (false, true) => Some("REJECTED"),
        (false, false) => None,
    })
}

/// What a deadline makes of a stage. Whoever polls can bring it about.
fn at_deadline(planned: &Stage, votes: &[VoteView]) -> &'static str {
    let is_rejected = votes.iter().any(|vote| !vote.approves);
    match planned.on_deadline {
        "approve" if !is_rejected => "APPROVED",
        "approve" | "reject" => "REJECTED",
        _ => "EXPIRED",
    }
}
