//! How an approval looks from outside: the query's answer, search attributes, and the Web UI's current
//! details.

use std::fmt::Write;

use countersign_protos::{
    FIRST_VERSION,
    names::{
        ATTRIBUTE_DEADLINE, ATTRIBUTE_LINKS, ATTRIBUTE_REVIEWERS, ATTRIBUTE_STATUS,
        ATTRIBUTE_UNDELIVERABLE, BY_OPERATOR,
    },
    text::{self, to_message},
    v1::{self, Answer},
    version_field,
};
use temporalio_common::search_attributes::{
    SearchAttributeKey, SearchAttributeUpdate, SearchAttributes, Timestamp as Datetime,
};

use super::{
    Open,
    ending::{Ending, Progress},
};
use crate::{
    approval::{By, ChangeRequest, Delegation, OnDeadline, Seat, SeatStatus, Stage, Status, Vote},
    limits::MAX_REVIEWER_BYTES,
    outcome::{
        Possible, change_request, decided_at, delegations, is_superseded, operator_actions, reason,
        routed_by, stage_status, status, vote_message, withdrawal,
    },
};

const STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword(ATTRIBUTE_STATUS);
const REVIEWERS: SearchAttributeKey<Vec<String>> =
    SearchAttributeKey::keyword_list(ATTRIBUTE_REVIEWERS);
const LINKS: SearchAttributeKey<Vec<String>> = SearchAttributeKey::keyword_list(ATTRIBUTE_LINKS);
const UNDELIVERABLE: SearchAttributeKey<bool> = SearchAttributeKey::bool(ATTRIBUTE_UNDELIVERABLE);
const DEADLINE: SearchAttributeKey<Datetime> = SearchAttributeKey::datetime(ATTRIBUTE_DEADLINE);

/// How many links of all versions are published: Temporal holds 2 KiB a search attribute, and a hash takes 23 bytes with
/// its quotes and comma.
const MAX_LINKS: usize = 2_040 / 23;
/// How much of what was to be changed the details have.
const MAX_REQUEST_CHARS: usize = 200;
/// Of an answer in the Web UI.
const MAX_ANSWER_CHARS: usize = 100;

/// The answer to the query `status`, but for ignored signals.
pub(super) fn state(open: &Open) -> v1::ApprovalState {
    let (approval, concluded) = (&open.approval, open.ending.concluded.as_ref());
    v1::ApprovalState {
        status: status(approval).into(),
        submission: Some(open.plan.submission.clone()),
        stages: approval.stages().iter().map(|stage| stage_state(open, stage)).collect(),
        decided_at: decided_at(approval).map(to_message),
        reason: reason(approval),
        because: Some(approval.reason().into()),
        rule: open.plan.rule.clone(),
        routed_by: routed_by(&open.plan).to_owned(),
        time_zone: open.plan.time_zone.clone(),
        announcement_error: open.notices.submitter_error.clone(),
        handing_on: handing_on(open).unwrap_or_default(),
        webhook_error: open.ending.webhook.error().to_owned(),
        follow_up_error: open.ending.follow_up_error().to_owned(),
        digest: open.plan.digest.clone(),
        operator_actions: operator_actions(&open.plan, approval),
        confirm: open.plan.confirm,
        comment_required: comment_required(open),
        delegate_to: open.plan.restrictions.delegate_to.clone(),
        possible: possible(open),
        times_out_at: open.times_out_at.map(to_message),
        jws: concluded.map(|(_, outcome)| outcome.jws.clone()).unwrap_or_default(),
        version: version_field(open.plan.version()),
        earlier_versions: open.plan.earlier.clone(),
        previous: open.plan.previous.clone(),
        change_request: change_request(approval),
        submitter_link: approval.submitter_link().map(|own| own.link.clone()).unwrap_or_default(),
        withdrawal: withdrawal(approval),
        ..Default::default()
    }
}

/// What can be done now, and by whom.
fn possible(open: &Open) -> Vec<v1::Possible> {
    let possible = open.approval.possible().into_iter();
    let message = |Possible { action, people, operator }: Possible<'_>| v1::Possible {
        action: action.to_owned(),
        people: people.into_iter().map(ToString::to_string).collect(),
        operator,
    };
    possible.map(message).collect()
}

fn comment_required(open: &Open) -> Vec<i32> {
    open.plan.restrictions.comment_required.iter().map(|verdict| i32::from(*verdict)).collect()
}

pub(super) fn search_attributes(open: &Open) -> Vec<SearchAttributeUpdate> {
    let approval = &open.approval;
    let asked = || approval.open_stage().into_iter().flat_map(Stage::undecided);
    let unreachable = asked().any(|seat| seat.status == SeatStatus::Unreachable);
    let Ending { webhook, .. } = &open.ending;
    let follow_up = open.ending.follow_up_error();
    let errors = [&*open.notices.submitter_error, follow_up, webhook.error()];
    let outcome_undelivered = errors.iter().any(|error| !error.is_empty());
    // Whoever is to revise it is asked, too.
    let submitter = open.is_paused().then_some(&open.plan.submitter);
    let people = asked().map(|seat| &seat.reviewer).chain(submitter);
    let deadline = match approval.status() {
        Status::ChangesRequested(request) => request.deadline,
        _ => approval.open_stage().and_then(Stage::deadline),
    };
    // Temporal searches these, so no codec encrypts them.
    let reviewers = (!open.plan.encrypted)
        .then(|| REVIEWERS.value_set(fitting(people.map(ToString::to_string))));
    let others = [
        STATUS.value_set(status(approval).as_str_name().to_owned()),
        LINKS.value_set(open.links().take(MAX_LINKS).collect()),
        UNDELIVERABLE.value_set(unreachable || outcome_undelivered),
        match deadline {
            Some(at) => DEADLINE.value_set(Datetime::new(at.as_second(), at.subsec_nanosecond())),
            None => nothing(ATTRIBUTE_DEADLINE),
        },
    ];
    others.into_iter().chain(reviewers).collect()
}

/// Unsets a search attribute by an empty list, whatever its type
/// (<https://docs.temporal.io/search-attribute#remove-search-attribute>). What the SDK 1.1 sends for
/// `value_unset`, a payload without an encoding, the server refuses for ever.
fn nothing(name: &'static str) -> SearchAttributeUpdate {
    SearchAttributeKey::keyword_list(name).value_set(Vec::new())
}

/// Unsets those of an approval's search attributes that a workflow has.
pub(crate) fn unset(present: &SearchAttributes) -> Vec<SearchAttributeUpdate> {
    let all = [
        (present.contains_key(&STATUS), ATTRIBUTE_STATUS),
        (present.contains_key(&REVIEWERS), ATTRIBUTE_REVIEWERS),
        (present.contains_key(&LINKS), ATTRIBUTE_LINKS),
        (present.contains_key(&UNDELIVERABLE), ATTRIBUTE_UNDELIVERABLE),
        (present.contains_key(&DEADLINE), ATTRIBUTE_DEADLINE),
    ];
    all.into_iter().filter(|(is_present, _)| *is_present).map(|(_, name)| nothing(name)).collect()
}

/// As many addresses as a search attribute holds: whoever is asked in another's place may have a
/// longer one, and a search attribute that is too large fails the workflow task.
fn fitting(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let fits = |bytes: &mut usize, address: String| {
        *bytes += address.len() + 3;
        (*bytes <= MAX_REVIEWER_BYTES).then_some(address)
    };
    addresses.scan(0, fits).collect()
}

/// What a decided workflow still waits for.
fn handing_on(open: &Open) -> Option<String> {
    let follow_up = open.follow_up().map(|next| format!("the workflow {} to start", next.workflow));
    let webhook = open.needs_webhook().then(|| "the webhook to accept the outcome".to_owned());
    let pending: Vec<String> = follow_up.into_iter().chain(webhook).collect();
    let sentence = format!("Decided. Waiting for {}.", pending.join(" and "));
    (open.approval.is_final() && !pending.is_empty()).then_some(sentence)
}

fn stage_state(open: &Open, stage: &Stage) -> v1::StageState {
    let (plan, seats) = (stage.plan(), stage.seats().iter());
    v1::StageState {
        name: plan.name.clone(),
        status: stage_status(&open.approval, stage).into(),
        quorum: plan.quorum.to_string(),
        opened_at: stage.opened_at().map(to_message),
        deadline: stage.deadline().map(to_message),
        on_deadline: on_deadline(stage).into(),
        closed_at: stage.end().map(|(_, at)| to_message(at)),
        reviewers: match stage.opened_at() {
            Some(_) => seats.map(|seat| reviewer_state(open, stage, seat)).collect(),
            None => planned(stage).collect(),
        },
        escalations: stage.level() as u32,
        delegations: delegations(stage),
    }
}

fn reviewer_state(open: &Open, stage: &Stage, seat: &Seat) -> v1::ReviewerState {
    let mail = open.deliveries.of(seat);
    v1::ReviewerState {
        reviewer: seat.reviewer.to_string(),
        link: seat.link.clone(),
        delivery: delivery(open, stage, seat).into(),
        delivery_error: mail.error.clone(),
        vote: seat.vote.as_ref().map(|vote| vote_message(seat, vote)),
        reminders: mail.reminders,
        on_behalf_of: seat.on_behalf_of.as_ref().map(ToString::to_string).unwrap_or_default(),
        released: is_superseded(seat),
        instead_of: seat.instead_of.as_ref().map(ToString::to_string).unwrap_or_default(),
        round: seat.round,
        reissued: stage.is_reissued(seat),
    }
}

fn delivery(open: &Open, stage: &Stage, seat: &Seat) -> v1::Delivery {
    let waits = open.approval.open_stage() == Some(stage);
    let superseded = seat.status == SeatStatus::Superseded;
    match open.deliveries.of(seat) {
        mail if !mail.error.is_empty() => v1::Delivery::Undeliverable,
        mail if mail.sent => v1::Delivery::Sent,
        _ if waits && seat.vote.is_none() && !superseded => v1::Delivery::Sending,
        _ => v1::Delivery::NotNeeded,
    }
}

pub(super) fn details(open: &Open, ignored: u32) -> String {
    let submission = &open.plan.submission;
    let document = submission.document.clone().unwrap_or_default();
    let submitter = submission.submitter.clone().unwrap_or_default();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "### {}\n\n{}{}, submitted by {} ({})\n\n**{}** {}\n",
        markdown(&document.title),
        lead(&document),
        markdown(&submission.submission_id),
        markdown(&submitter.name),
        markdown(open.plan.submitter.as_str()),
        status(&open.approval).as_str_name(),
        markdown(&reason(&open.approval)),
    );
    if let Some(handing_on) = handing_on(open) {
        let _ = writeln!(text, "{}\n", markdown(&handing_on));
    }
    version_details(&mut text, open);
    for stage in open.approval.stages() {
        stage_details(&mut text, open, stage);
    }
    if let Some(stage) = open.approval.open_stage() {
        time_out_details(&mut text, open, stage);
    }
    let Ending { concluded, follow_up, webhook, notices_in, follow_up_failure, .. } = &open.ending;
    if let (Progress::Done(Ok(())), Some((_, outcome))) = (follow_up, concluded) {
        let _ = writeln!(text, "\nFollow-up workflow: {}", markdown(&outcome.child_workflow_id));
    }
    if let Some(workflow_id) = notices_in {
        let _ = writeln!(text, "\nNotices are still to be delivered: {}", markdown(workflow_id));
    }
    let submitter = markdown(open.plan.submitter.as_str());
    for (what, why) in [
        (format!("{submitter} cannot be reached"), &*open.notices.submitter_error),
        ("The follow-up workflow was not started".into(), follow_up.error()),
        ("The follow-up workflow has failed".into(), follow_up_failure),
        ("The webhook did not take the outcome".into(), webhook.error()),
    ] {
        if !why.is_empty() {
            let _ = writeln!(text, "\n**{what}**: {}", markdown(why));
        }
    }
    if ignored > 0 {
        let _ = writeln!(text, "\nIgnored signals: {ignored}. The query `status` says why.");
    }
    text
}

/// What it is about besides its title: the amount, the action, or both.
fn lead(document: &v1::Document) -> String {
    let amount = text::money(&document.amount, &document.currency);
    let action = document.action.as_ref().map(|action| text::visible_line(&action.name));
    let parts = [Some(amount), action].into_iter().flatten().filter(|part| !part.is_empty());
    let parts: Vec<String> = parts.map(|part| format!("**{}**", markdown(&part))).collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("{} for ", parts.join(", ")),
    }
}

/// How it came to be what it is, and what is to be changed now.
fn version_details(text: &mut String, open: &Open) {
    let moment = |at: Option<&_>| markdown(&text::full_moment(at, &open.time_zone));
    for earlier in &open.plan.earlier {
        let asked = match &earlier.request {
            Some(vote) => format!("{}, and was ", request(&earlier.stage, vote)),
            None => String::new(),
        };
        let by = match earlier.by.as_str() {
            BY_OPERATOR => format!("an operator ({})", markdown(&earlier.identity)),
            _ => "its submitter".to_owned(),
        };
        let at = moment(earlier.revised_at.as_ref());
        let version = earlier.version();
        let _ = writeln!(text, "- version {version}: {asked}revised by {by} at {at}");
    }
    if open.plan.version() > FIRST_VERSION {
        let _ = writeln!(text, "\nThis is version {}.", open.plan.version());
    }
    if let Some(v1::ChangeRequest { stage, vote: Some(vote), deadline }) =
        change_request(&open.approval)
    {
        let asked = request(&stage, &vote);
        let until = match &deadline {
            Some(_) => format!(" until {}", moment(deadline.as_ref())),
            None => String::new(),
        };
        let submitter = markdown(open.plan.submitter.as_str());
        let _ = writeln!(text, "\n{asked}. **{submitter}** can revise or withdraw it{until}.");
    }
}

/// Who asked for which changes.
fn request(stage: &str, vote: &v1::Vote) -> String {
    let comment = text::clean_line(&vote.comment);
    let comment = match comment.char_indices().nth(MAX_REQUEST_CHARS) {
        Some((end, _)) => format!("{}…", &comment[..end]),
        None => comment,
    };
    let (reviewer, stage) = (markdown(&vote.reviewer), markdown(stage));
    format!("{reviewer} requested changes in {stage} (\"{}\")", markdown(&comment))
}

fn stage_details(text: &mut String, open: &Open, stage: &Stage) {
    let name = markdown(&stage.plan().name);
    let Some(deadline) = stage.deadline().map(to_message) else {
        let _ = writeln!(text, "\n**{name}** is not opened yet");
        return;
    };
    let until = match stage.end() {
        Some((_, at)) => {
            let end = text::full_moment(Some(&to_message(at)), &open.time_zone);
            format!("ended {}", markdown(&end))
        }
        None if stage.change_request().is_some() => "sent back".to_owned(),
        None => {
            let deadline = text::full_moment(Some(&deadline), &open.time_zone);
            format!("{} at {}", on_deadline(stage), markdown(&deadline))
        }
    };
    let escalated = match stage.level() {
        0 => String::new(),
        1 => ", escalated once".to_owned(),
        level => format!(", escalated {level} times"),
    };
    let quorum = stage.plan().quorum;
    let _ = writeln!(text, "\n**{name}** (quorum {quorum}{escalated}), {until}\n");
    for seat in stage.seats() {
        let absent = seat.on_behalf_of.as_ref().map(|absent| format!(" (for {absent})"));
        let reviewer = markdown(&format!("{}{}", seat.reviewer, absent.unwrap_or_default()));
        let _ = writeln!(text, "- {reviewer} {}", progress(open, stage, seat));
    }
}

/// Said where Temporal ends the workflow before the stage's deadline.
fn time_out_details(text: &mut String, open: &Open, stage: &Stage) {
    let Some(ends) = open.times_out_before(stage).map(to_message) else { return };
    let ends = markdown(&text::full_moment(Some(&ends), &open.time_zone));
    let _ = writeln!(
        text,
        "\n**Temporal ends this workflow at {ends}**, before the deadline of {}: it was started with a \
         time-out. Start approvals without one.",
        markdown(&stage.plan().name)
    );
}

fn progress(open: &Open, stage: &Stage, seat: &Seat) -> String {
    let waits = open.approval.open_stage() == Some(stage);
    match (&seat.vote, delivery(open, stage, seat)) {
        (Some(vote), _) => {
            let operator = match &vote.by {
                By::Link(_) => String::new(),
                By::Operator(who) => format!(", recorded by an operator ({})", markdown(who)),
            };
            format!("**{}**{operator}{}", vote.verdict.terms().past, answers(vote))
        }
        (None, _) if stage.is_reissued(seat) => "has a new link".to_owned(),
        (None, _) if let Some(delegation) = delegation_of(stage, seat) => format!(
            "had {} asked instead: {}",
            markdown(delegation.to.as_str()),
            markdown(&delegation.reason)
        ),
        (None, v1::Delivery::Undeliverable) => {
            format!("**cannot be reached**: {}", markdown(&open.deliveries.of(seat).error))
        }
        (None, _) if seat.status == SeatStatus::Superseded => {
            "did not decide; others were asked".to_owned()
        }
        (None, _) if is_sent_back(open, stage) => "need not decide until it is revised".to_owned(),
        (None, _) if !waits => "did not decide".to_owned(),
        (None, v1::Delivery::Sent) => "was asked; the mail was taken for delivery".to_owned(),
        (None, _) => "is being asked".to_owned(),
    }
}

/// By which somebody else has got this seat's place, or is about to.
fn delegation_of<'a>(stage: &'a Stage, seat: &Seat) -> Option<&'a Delegation> {
    let own = stage.delegations().into_iter().find(|(from, ..)| from.link == seat.link);
    own.map(|(_, delegation, _)| delegation)
}

fn is_sent_back(open: &Open, stage: &Stage) -> bool {
    matches!(open.approval.status(), Status::ChangesRequested(ChangeRequest { stage: back, .. }) if back == stage)
}

/// What was filled in, each answer cut where it is long: `status` has the whole.
fn answers(vote: &Vote) -> String {
    let answer = |Answer { label, value, .. }: &Answer| {
        let value = text::clean_line(value);
        let shown: String = value.chars().take(MAX_ANSWER_CHARS).collect();
        let cut = if shown.len() < value.len() { "…" } else { "" };
        format!("; {}: {}{cut}", markdown(label), markdown(&shown))
    };
    vote.answers.iter().map(answer).collect()
}

fn on_deadline(stage: &Stage) -> &'static str {
    match stage.on_deadline() {
        _ if stage.escalates_at_deadline() => "escalate",
        OnDeadline::Expire => "expire",
        OnDeadline::Reject => "reject",
        OnDeadline::Approve => "approve",
    }
}

/// Who is asked first in a stage that is not open yet.
fn planned(stage: &Stage) -> impl Iterator<Item = v1::ReviewerState> {
    let first = stage.plan().levels.first().into_iter().flat_map(|level| &level.reviewers);
    first.map(|reviewer| v1::ReviewerState { reviewer: reviewer.to_string(), ..Default::default() })
}

/// Text as data in Markdown: what would be markup is escaped.
fn markdown(text: &str) -> String {
    let line = text.replace(['\n', '\r'], " ");
    let escape = |c| r"\`*_[]<>#|!()".contains(c).then_some('\\');
    line.chars().flat_map(|c| escape(c).into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests;
