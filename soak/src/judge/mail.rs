//! Mails: each belongs to an approval, goes to somebody whom it concerns, and says nothing untrue.

use countersign_e2e::{Mail, text};
use countersign_protos::{ApprovalId, text::money};

use super::{
    facts::{Approval, Facts, OperatorAct},
    outcome::{StageView, View, VoteView, explain},
};

const REPLACED: &str = " is asked in your place.";
const WITHDRAWN: &str = "This request was withdrawn";
const LATE: &str = "The deadline has passed without your decision.";
const REFUSED: &str = "Mail to you was refused,";
const SUPERSEDED: [&str; 4] = ["Your decision is no longer needed.", WITHDRAWN, LATE, REFUSED];
const STARTED: &str = "Waiting for ";
const UNREACHABLE: &str = "Nobody can be reached to decide your submission.";
const REPRESENTED: [&str; 2] = ["An operator (", " for you in "];
/// How an outcome begins, and what it is.
const OUTCOMES: [(&str, &str); 5] = [
    ("Your submission is approved.", "APPROVED"),
    ("Your submission is rejected.", "REJECTED"),
    ("Your submission was withdrawn", "WITHDRAWN"),
    ("Nobody decided in time,", "EXPIRED"),
    ("Too few people decided in time,", "EXPIRED"),
];
const BY_OPERATOR: &str = ", recorded by an operator (";

/// Whether a mail is explained by one of the approvals of what it is about.
///
/// # Errors
/// Why none of them explains it.
pub(super) fn explain_mail(facts: &Facts, mail: &Mail) -> Result<(), String> {
    let [to] = &*mail.to else { return Err(format!("it goes to {:?}", mail.to)) };
    let lines: Vec<&str> = mail.text.lines().map(str::trim_end).collect();
    let submission = lines.iter().rev().find_map(|line| line.strip_prefix("Submission: "));
    let submission = submission.and_then(|line| line.split([' ', ',']).next()).unwrap_or_default();
    let mut why = format!("nobody has submitted {submission:?}");
    for approval in facts.approvals.iter().filter(|one| one.submission_id() == submission) {
        match explain_by(facts, approval, mail, to, &lines) {
            Ok(()) => return Ok(()),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn explain_by(
    facts: &Facts,
    approval: &Approval,
    mail: &Mail,
    to: &str,
    lines: &[&str],
) -> Result<(), String> {
    let document = &approval.submission["document"];
    let amount = money(&text(&document["amount"]), &text(&document["currency"]));
    let title = text(&document["title"]);
    for shown in [format!("Title: {title}"), format!("Amount: {amount}")] {
        if !lines.contains(&&*shown) {
            return Err(format!("it is about something else than {shown}"));
        }
    }
    if mail.has_links() {
        return explain_request(facts, approval, mail, to, lines);
    }
    let mut view = read(lines);
    let first = lines.first().copied().unwrap_or_default();
    if first.contains(REPLACED) || SUPERSEDED.iter().any(|words| first.starts_with(words)) {
        without_comments(&mut view)?;
        explain(facts, approval, &view)?;
        return explain_superseded(facts, approval, &view, to, first);
    }
    explain(facts, approval, &view)?;
    if first.starts_with(STARTED) {
        return Err("no rule here has submitters told of the start".to_owned());
    }
    if first.starts_with(UNREACHABLE) {
        return explain_unreachable(facts, approval, to, first);
    }
    let [begins, goes_on] = REPRESENTED;
    if first.starts_with(begins) && first.contains(goes_on) {
        let is_theirs = |vote: &VoteView| vote.reviewer == to && !vote.by_link;
        return match view.votes().any(is_theirs) {
            true => Ok(()),
            false => Err(format!("no operator has decided for {to}")),
        };
    }
    match view.status {
        None => Err(format!("it says {first:?}")),
        Some(_) if approval.submitter() != to => Err(format!("{to} has not submitted it")),
        Some(_) => Ok(()),
    }
}

/// Mail to everybody whom it names was refused.
fn explain_unreachable(
    facts: &Facts,
    approval: &Approval,
    to: &str,
    first: &str,
) -> Result<(), String> {
    let named = first.rsplit_once("Mail to ").map(|(_, named)| named);
    let named = named.and_then(|named| named.strip_suffix(" was refused."));
    let mut named = named.unwrap_or_default().split(", ").flat_map(|names| names.split(" and "));
    match named.find(|who| !facts.is_refused(approval, who)) {
        _ if approval.submitter() != to => Err(format!("{to} has not submitted it")),
        Some(who) => Err(format!("mail to {who:?} was not refused")),
        None => Ok(()),
    }
}

/// The link is the recipient's own.
fn explain_request(
    facts: &Facts,
    approval: &Approval,
    mail: &Mail,
    to: &str,
    lines: &[&str],
) -> Result<(), String> {
    if mail.hint() != approval.workflow {
        return Err(format!("it leads to {}", mail.hint()));
    }
    let id: ApprovalId = mail.approval_id().parse().map_err(|_| "it has no approval ID")?;
    let seat = facts.seat(approval, id.hash().as_str());
    let seat = seat.ok_or("its link was not issued by this approval")?;
    let stage = lines.iter().find_map(|line| line.strip_prefix("Stage: "));
    if seat.reviewer != to || stage != Some(&*format!("S{}", seat.stage)) {
        return Err(format!("its link is for {seat:?}"));
    }
    Ok(())
}

/// Somebody who is out of it reads what others have decided, and not what they wrote.
fn without_comments(view: &mut View) -> Result<(), String> {
    for vote in view.stages.iter_mut().flat_map(|stage| &mut stage.votes) {
        if let Some(comment) = vote.comment.take().filter(|comment| !comment.is_empty()) {
            return Err(format!("it tells what {} wrote: {comment:?}", vote.reviewer));
        }
    }
    Ok(())
}

/// They were asked, have not decided, and need not any more.
fn explain_superseded(
    facts: &Facts,
    approval: &Approval,
    view: &View,
    to: &str,
    first: &str,
) -> Result<(), String> {
    if first.starts_with(LATE) && !facts.late.contains(&approval.workflow) {
        return Err("no deadline has passed".to_owned());
    }
    if first.starts_with(REFUSED) && !facts.is_refused(approval, to) {
        return Err(format!("mail to {to} was not refused"));
    }
    let by = first.split_once(REPLACED).map(|(by, _)| by);
    let is_so = |(from, instead): (&str, &str)| from == to && by.is_none_or(|by| by == instead);
    let replaced = facts.reassigned(&approval.workflow).any(is_so);
    let withdrawn = first.starts_with(WITHDRAWN)
        && facts.acts(&approval.workflow).contains(&OperatorAct::Withdraw);
    // Somebody may have decided in one stage and be asked in another. An open stage is not mentioned.
    let is_so = (0..approval.stages.len()).any(|position| {
        let stage = view.stages.get(position);
        facts.can_be_asked(approval, position, to)
            && stage.is_none_or(|stage| stage.votes.iter().all(|vote| vote.reviewer != to))
            && (replaced || withdrawn || stage.is_some_and(|stage| stage.status != "PENDING"))
    });
    match is_so {
        true => Ok(()),
        false => {
            Err(format!("the decision of {to} was not asked for, was made, or is still needed"))
        }
    }
}

/// What a notice says of a decision. A line of a vote has one of these words.
fn read(lines: &[&str]) -> View {
    let mut view = View::default();
    let first = lines.first().copied().unwrap_or_default();
    let outcome = OUTCOMES.iter().find(|(words, _)| first.starts_with(words));
    view.status = outcome.map(|(_, status)| (*status).to_owned());
    for line in lines {
        let stage = line.strip_prefix("Stage ").and_then(|stage| stage.split_once(": "));
        if let Some(vote) = line.strip_prefix("- ") {
            if let (Some(stage), Some(vote)) = (view.stages.last_mut(), read_vote(vote)) {
                stage.votes.push(vote);
            }
        } else if let Some(comment) = line.strip_prefix("  > ") {
            let vote = view.stages.last_mut().and_then(|stage| stage.votes.last_mut());
            if let Some(vote) = vote {
                vote.comment = Some(comment.to_owned());
            }
        } else if let Some((name, word)) = stage
            && name.strip_prefix('S').is_some_and(|number| number.parse::<usize>().is_ok())
        {
            let (name, status) = (name.to_owned(), status(word));
            view.stages.push(StageView { name, status, ..StageView::default() });
        }
    }
    view
}

fn read_vote(line: &str) -> Option<VoteView> {
    let (reviewer, rest) = line.split_once(' ')?;
    Some(VoteView {
        reviewer: reviewer.to_owned(),
        approves: rest.starts_with("approved"),
        by_link: !rest.contains(BY_OPERATOR),
        comment: Some(String::new()),
        ..VoteView::default()
    })
}

fn status(word: &str) -> String {
    let status = match word {
        "approved" => "APPROVED",
        "rejected" => "REJECTED",
        "not decided in time" => "EXPIRED",
        "withdrawn" => "WITHDRAWN",
        "still open" => "PENDING",
        other => other,
    };
    status.to_owned()
}
