//! Pages: each shows the approval that its link is for, and nothing as decided or recorded that is not.

use std::collections::HashSet;

use super::{
    facts::{Approval, Facts},
    outcome::{View, explain, explain_votes},
    signed::{claims, is_of},
};
use crate::ledger::Page;

/// Whether all that a page says is so. A status that is signed needs no votes beside it if what is signed is
/// among the `explained` outcomes: whoever answers queries may hide votes.
///
/// # Errors
/// What is not.
pub(super) fn explain_page(
    facts: &Facts,
    page: &Page,
    explained: &HashSet<String>,
) -> Result<(), String> {
    let state = &page.body["approval"];
    if !state.is_object() {
        return Ok(());
    }
    let of_workflow = |approval: &&Approval| approval.workflow == page.entry.workflow;
    let approval = facts.approvals.iter().find(of_workflow).ok_or("nobody has started it")?;
    let shown = &state["submission"];
    // A link that can decide nothing any more shows only which submission it was for, pressed or not.
    let must_show = matches!(page.entry.answer.as_str(), "open" | "unattended");
    let is_named = shown["submissionId"] == approval.submission["submissionId"];
    if must_show || !is_named || !shown["document"].is_null() {
        is_of(shown, approval)?;
    }
    let reader = &page.body["reviewer"];
    if !reader.is_null() && *reader != page.entry.reviewer {
        return Err(format!("it is shown as that of {reader}"));
    }
    let view = View::of_page(state);
    let status = view.status.as_deref().unwrap_or_default();
    match claims(facts, state) {
        Some(claims) if status != "PENDING" && explained.contains(&format!("{claims:?}")) => {
            explain_votes(facts, approval, &view)?;
        }
        _ => explain(facts, approval, &view)?,
    }
    if status != "PENDING" {
        let claims = claims(facts, state).ok_or("its outcome is not signed")?;
        let same = claims.workflow_id == approval.workflow
            && claims.first_run_id == approval.first_run_id
            && claims.digest == approval.digest()
            && claims.status == status;
        if !same {
            return Err(format!("{status} is signed for something else: {claims:?}"));
        }
    }
    explain_answer(facts, approval, page, &view)
}

fn explain_answer(
    facts: &Facts,
    approval: &Approval,
    page: &Page,
    view: &View,
) -> Result<(), String> {
    let (entry, status) = (&page.entry, view.status.as_deref().unwrap_or_default());
    let pressed = |approves: bool| {
        let mut presses = facts.presses.iter();
        let own = presses.any(|press| press.link == entry.key && press.approves == approves);
        let arrived = facts.signals.contains(&(entry.key.clone(), approves));
        own && arrived || facts.has_operator_decided(approval, &entry.reviewer, approves)
    };
    let own = entry.approves.unwrap_or_default();
    let seat = facts.seat(approval, &entry.key);
    let stage = seat.and_then(|seat| view.stages.get(seat.stage));
    let is_true = match entry.answer.as_str() {
        "recorded" | "already_recorded" | "accepted" => pressed(own),
        "other_verdict" => pressed(!own),
        "voted" => pressed(true) || pressed(false),
        "decided" => matches!(status, "APPROVED" | "REJECTED"),
        "expired" => status == "EXPIRED",
        "withdrawn" => status == "WITHDRAWN",
        "too_late" => status != "PENDING" || stage.is_some_and(|stage| stage.status != "PENDING"),
        _ => true,
    };
    match is_true {
        true => Ok(()),
        false => Err(format!("it answers {:?}", entry.answer)),
    }
}
