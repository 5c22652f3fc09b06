//! The text of mails. Pure.

mod changes;
mod facts;
mod pieces;
mod quote;
mod shape;
mod subject;

use askama::Template;
use countersign_protos::{
    ApprovalId, FIRST_VERSION, Organization, PublicUrl, Verdict, can_be_revised, names,
    text::{clean_line, to_message},
    v1::{Outcome, Status, Vote, reason::Reason},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use self::subject::Subject;
use self::{
    changes::Changes,
    facts::{
        Clock, DecisionFacts, Detail, Facts, VoteAt, answers_of, because, comment_of, decided_by,
        deciding_vote, listed, reviewer, stages, status_word,
    },
    quote::Quote,
};
use crate::{
    approval::{Approval, EmailAddress, OnDeadline, Stage},
    outcome,
    outcome::Superseded,
    policy::Plan,
    recorded::{Delegated, ReviewRequest},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Part of an outbox file's name.
    pub(crate) kind: &'static str,
    pub(crate) subject: Subject,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// The workflow's ID in a link, percent-encoded, has at most this many bytes.
const MAX_HINT_BYTES: usize = 200;
/// What RFC 3986, 2.3, leaves as it is, without the dot: `.` and `..` have a meaning in paths.
const HINT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

#[derive(Debug, Clone)]
pub(crate) struct Links {
    page: String,
    approve: String,
    reject: String,
    home: String,
    id: String,
}

impl Links {
    /// The workflow's ID in a link is a hint: with it the signaler needs no index. It is left out if it is too
    /// long.
    pub(crate) fn new(base: &PublicUrl, id: &ApprovalId, workflow_id: &str) -> Self {
        let home = base.as_str();
        let id = id.reveal();
        let hint = utf8_percent_encode(workflow_id, HINT).to_string();
        let hint = match hint.len() <= MAX_HINT_BYTES {
            true => format!("/{hint}"),
            false => String::new(),
        };
        let page = format!("{home}/a/{id}{hint}");
        Self {
            approve: format!("{page}?choice=approve"),
            reject: format!("{page}?choice=reject"),
            page,
            home: format!("{home}/"),
            id,
        }
    }
}

/// What a reviewer is asked for.
struct Asked<'a> {
    reminder: bool,
    new_link: bool,
    /// What was revised since somebody was asked before. `None` for a submission as it was sent.
    changes: Option<&'a Changes>,
    stage: &'a str,
    /// In whose place they are asked; empty if they have their own.
    place: &'a str,
    /// Why, from who wanted it.
    reason: Option<Quote>,
    /// When they were asked first, in a reminder; otherwise empty.
    first: String,
    deadline: String,
    /// Of silence until then.
    consequence: &'a str,
    /// Whether the page has a button for that.
    can_request_changes: bool,
}

#[derive(Template)]
#[template(path = "request.txt")]
struct RequestText<'a> {
    facts: &'a Facts,
    links: &'a Links,
    asked: &'a Asked<'a>,
}

#[derive(Template)]
#[template(path = "request.html")]
struct RequestHtml<'a> {
    facts: &'a Facts,
    links: &'a Links,
    asked: &'a Asked<'a>,
}

#[derive(Template)]
#[template(path = "outcome.txt")]
struct OutcomeText<'a> {
    facts: &'a Facts,
    notice: &'a Notice<'a>,
    decision: &'a DecisionFacts,
}

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomeHtml<'a> {
    facts: &'a Facts,
    notice: &'a Notice<'a>,
    decision: &'a DecisionFacts,
}

/// The colour of a headline: on light ground, and by its class on dark ground.
#[derive(Debug, Clone, Copy)]
struct Tone {
    class: &'static str,
    colour: &'static str,
}

const YES: Tone = Tone { class: "yes", colour: "#15803d" };
const NO: Tone = Tone { class: "no", colour: "#b91c1c" };
const WAIT: Tone = Tone { class: "wait", colour: "#92400e" };

/// What a mail about an approval begins with: the result, in HTML as a headline.
struct Notice<'a> {
    kind: &'static str,
    tone: Tone,
    headline: &'a str,
    /// Who or what decided, below the headline; empty where `lead` says it.
    by: String,
    /// The first paragraph of the text.
    summary: String,
    /// What of it the headline does not say.
    lead: String,
    /// Why, where no vote in the text says it.
    why: String,
    /// Why it was withdrawn, or what is to be changed.
    reason: Option<Quote>,
    /// What else is to be known of it, as a sentence.
    note: String,
    /// The submitter's own.
    own: Option<OwnLink<'a>>,
    /// The vote that all of this is about.
    vote: Option<VoteAt>,
    detail: Detail,
    /// Whether the summary says a time.
    is_dated: bool,
}

/// The submitter's link, and what they can do by it.
struct OwnLink<'a> {
    links: &'a Links,
    invitation: &'static str,
    button: &'static str,
}

impl<'a> Notice<'a> {
    /// With a summary that says a time.
    fn dated(kind: &'static str, headline: &'a str, summary: String) -> Self {
        Self { is_dated: true, ..Self::new(kind, WAIT, headline, summary) }
    }

    fn new(kind: &'static str, tone: Tone, headline: &'a str, summary: String) -> Self {
        Self {
            kind,
            tone,
            headline,
            by: String::new(),
            lead: summary.clone(),
            summary,
            why: String::new(),
            reason: None,
            note: String::new(),
            own: None,
            vote: None,
            detail: Detail::All,
            is_dated: false,
        }
    }

    /// What was decided: the headline says it in one word.
    fn result(tone: Tone, headline: &'a str, outcome: &Outcome) -> Self {
        let summary = format!("Your submission is {}.", status_word(outcome.status()));
        let why = match because(outcome) {
            Some(Reason::Votes(_)) => String::new(),
            _ => clean_line(&outcome.reason),
        };
        let (by, lead, vote) = (decided_by(outcome), String::new(), deciding_vote(outcome));
        Self { by, lead, why, vote, ..Self::new("outcome", tone, headline, summary) }
    }

    fn is_whole(&self) -> bool {
        self.detail == Detail::All
    }
}

/// Writes letters for whoever runs the approvals.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writer<'a> {
    pub(crate) organization: Option<&'a Organization>,
}

/// Of a request that is, or will be, revised.
const ANEW: &str = "decided anew from its first stage, and earlier decisions do not count.";
const PASSED: &str = "The deadline has passed without your decision.";
const SUPERSEDED: &str = "There is nothing for you to do. Your link can no longer decide.";

impl Writer<'_> {
    /// A request or a reminder to a reviewer.
    pub(crate) fn request(self, plan: &Plan, request: &ReviewRequest, links: &Links) -> Letter {
        let clock = &Clock::of(&plan.time_zone);
        let mut facts = self.signed(Facts::of_submission(&plan.submission, clock), "");
        let delegator = request.delegated.as_ref().and_then(|it| it.on_behalf_of.as_ref());
        let replaced = [&request.on_behalf_of, &request.instead_of].into_iter().flatten();
        facts.addresses.extend(replaced.chain(delegator).map(ToString::to_string));
        let facts = &facts;
        let (reminder, new_link) = (request.reminder, request.new_link);
        let changes = plan.previous.as_ref();
        let changes =
            changes.map(|earlier| Changes::new(plan.version(), earlier, &plan.submission));
        let first = request.asked_at.filter(|_| reminder).map(to_message);
        let until =
            if request.times_out_at.is_some() { &request.times_out_at } else { &request.deadline };
        let deadline = match first {
            Some(_) => clock.later(until),
            None => clock.first(until),
        };
        let asked = &Asked {
            reminder,
            new_link,
            changes: changes.as_ref(),
            stage: &stage_name(plan, request.stage),
            place: &self.place(request),
            reason: request.delegated.as_ref().and_then(reason),
            first: clock.first(&first),
            deadline,
            consequence: &consequence(request, clock),
            can_request_changes: can_be_revised(plan.version()),
        };
        let start = match (reminder, new_link) {
            (true, _) => "Reminder: please decide",
            (false, true) => "New link: please decide",
            (false, false) if changes.is_some() => "Revised: please decide",
            (false, false) => "Please decide",
        };
        Letter {
            kind: if reminder { "reminder" } else { "request" },
            subject: facts.subject(start),
            text: rendered(&RequestText { facts, links, asked }),
            html: rendered(&RequestHtml { facts, links, asked }),
        }
    }

    /// The outcome, to the submitter.
    pub(crate) fn outcome(self, outcome: &Outcome) -> Letter {
        let when = Clock::of(&outcome.time_zone).first(&outcome.decided_at);
        let (start, notice) = match outcome.status() {
            Status::Approved => ("Approved", Notice::result(YES, "Approved", outcome)),
            Status::Rejected => ("Rejected", Notice::result(NO, "Rejected", outcome)),
            Status::Expired => {
                let summary = expired(outcome, &when);
                ("Not decided in time", Notice::dated("outcome", "Expired", summary))
            }
            // No outcome is pending.
            Status::Withdrawn
            | Status::Pending
            | Status::ChangesRequested
            | Status::Unspecified => {
                let by = withdrawn_by(outcome, "you");
                let summary = format!("Your submission was withdrawn{by} on {when}.");
                let notice = Notice::dated("outcome", "Withdrawn", summary);
                ("Withdrawn", Notice { reason: withdrawal_reason(outcome), ..notice })
            }
        };
        let notice = Notice { note: revised(outcome), ..notice };
        self.about(outcome, &notice, |facts| facts.own_subject(start))
    }

    /// To the submitter: people are asked. `None` if nobody is.
    pub(crate) fn started(
        self,
        outcome: &Outcome,
        approval: &Approval,
        links: Option<&Links>,
    ) -> Option<Letter> {
        let stage = approval.open_stage()?;
        let people = undecided(stage)?;
        let have = if people.len() > 1 { "have" } else { "has" };
        let until = deadline(outcome, stage);
        let consequence = at_deadline(stage.escalates_at_deadline(), stage.on_deadline());
        let headline = &format!("Waiting for {} to decide", clean_line(&stage.plan().name));
        let lead = format!("{} {have} until {until}. Otherwise, {consequence}.", listed(&people));
        let summary = format!("{headline}. {lead}");
        let own = links.map(|links| OwnLink {
            links,
            invitation: "Follow it, withdraw it, or revise it while nobody has decided",
            button: "Follow your submission",
        });
        let notice = Notice { lead, own, ..Notice::dated("started", headline, summary) };
        Some(self.about(outcome, &notice, |facts| facts.own_subject("Waiting")))
    }

    /// To the submitter: a reviewer has asked for changes. `None` if nobody waits for any.
    pub(crate) fn changes_requested(
        self,
        outcome: &Outcome,
        approval: &Approval,
        links: &Links,
    ) -> Option<Letter> {
        let request = outcome::change_request(approval)?;
        let vote = request.vote.unwrap_or_default();
        let until = Clock::of(&outcome.time_zone).first(&request.deadline);
        let by = reviewer(&vote);
        let recorded = facts::operator(&vote);
        let lead = format!(
            "{by} asks you to change it ({}{recorded}). Please revise or withdraw it by {until}. \
             Otherwise, it ends undecided. Once revised, it is {ANEW}",
            clean_line(&request.stage)
        );
        let headline = "Changes requested";
        let summary = format!("{headline}. {lead}");
        let own = OwnLink {
            links,
            invitation: "See your submission, and revise or withdraw it",
            button: "Revise or withdraw it",
        };
        let notice = Notice {
            lead,
            own: Some(own),
            reason: Quote::new("What to change:".to_owned(), &vote.comment),
            detail: Detail::Nothing,
            ..Notice::dated("changes", headline, summary)
        };
        Some(self.about(outcome, &notice, |facts| facts.own_subject(headline)))
    }

    /// To a reviewer who was asked about a version that was revised since.
    pub(crate) fn revised(self, outcome: &Outcome) -> Letter {
        let start = "Revised";
        let summary = format!(
            "This request was revised, so a decision on this version is no longer needed. The new one is {ANEW} If \
             yours is needed on it, you get another mail. Your link can no longer decide."
        );
        let notice = Notice::new("revised", WAIT, start, summary);
        let notice = Notice { detail: Detail::Nothing, ..notice };
        self.about(outcome, &notice, |facts| facts.subject(start))
    }

    /// To the submitter: mail reaches nobody who may decide. `None` if it reaches somebody.
    pub(crate) fn unreachable(self, outcome: &Outcome, approval: &Approval) -> Option<Letter> {
        let stage = approval.open_stage().filter(|stage| stage.is_unreachable())?;
        let (people, until) = (listed(&undecided(stage)?), deadline(outcome, stage));
        // Others would have been asked already.
        let consequence = at_deadline(false, stage.on_deadline());
        let lead = format!(
            "Ask {} to have somebody else asked. Otherwise, on {until}, {consequence}. Mail to \
             {people} was refused.",
            self.whom()
        );
        let start = "Nobody can be reached";
        let summary = format!("{start} to decide your submission. {lead}");
        let notice = Notice { lead, ..Notice::dated("unreachable", start, summary) };
        Some(self.about(outcome, &notice, |facts| facts.own_subject(start)))
    }

    /// To a reviewer who need not decide any more.
    pub(crate) fn superseded(self, outcome: &Outcome, why: Superseded<'_>) -> Letter {
        let (start, summary) = match why {
            Superseded::Replaced { by, identity } => (
                "Somebody else is asked",
                format!("{by} is asked in your place. An {} arranged this.", operator(identity)),
            ),
            Superseded::Delegated { to } => {
                ("Somebody else is asked", format!("{to} is asked in your place, as you wanted."))
            }
            Superseded::Escalated => ("Deadline passed", format!("{PASSED} Others are asked now.")),
            Superseded::Unreachable => {
                ("Others are asked", "Mail to you was refused, so others are asked now.".to_owned())
            }
            Superseded::DeadlinePassed if is_not_revised(outcome) => (
                "Not revised in time",
                "The changes that were requested were not made in time, so this request ended undecided."
                    .to_owned(),
            ),
            Superseded::DeadlinePassed => {
                ("Deadline passed", format!("{PASSED}{}", result_of_silence(outcome.status())))
            }
            Superseded::Withdrawn => {
                let by = withdrawn_by(outcome, "its submitter");
                let so = "so your decision is no longer needed";
                ("Withdrawn", format!("This request was withdrawn{by}, {so}."))
            }
            Superseded::Decided => {
                ("No longer needed", "Your decision is no longer needed.".to_owned())
            }
        };
        let (headline, detail, reason) = match why {
            Superseded::Decided => ("Already decided", Detail::Votes, None),
            Superseded::DeadlinePassed => (start, Detail::Votes, None),
            Superseded::Withdrawn => (start, Detail::Nothing, withdrawal_reason(outcome)),
            Superseded::Replaced { .. }
            | Superseded::Delegated { .. }
            | Superseded::Escalated
            | Superseded::Unreachable => (start, Detail::Nothing, None),
        };
        let summary = format!("{summary} {SUPERSEDED}");
        let notice = Notice::new("superseded", WAIT, headline, summary);
        let notice = Notice { reason, detail, ..notice };
        self.about(outcome, &notice, |facts| facts.subject(start))
    }

    /// To a reviewer for whom an operator has decided. `None` if none has.
    pub(crate) fn decided_by_operator(
        self,
        outcome: &Outcome,
        reviewer: &EmailAddress,
    ) -> Option<Letter> {
        let is_theirs = |vote: &Vote| {
            let voter = vote.reviewer.parse::<EmailAddress>();
            vote.by == names::BY_OPERATOR && voter.is_ok_and(|voter| voter == *reviewer)
        };
        let mut newest_first = outcome.stages.iter().enumerate().rev();
        let (at, stage, vote) = newest_first.find_map(|(position, stage)| {
            let index = stage.decisions.iter().rposition(is_theirs)?;
            Some(((position, index), stage, &stage.decisions[index]))
        })?;
        let decided = match vote.verdict().known() {
            Some(Verdict::Approve) => "an approval",
            Some(Verdict::Reject) => "a rejection",
            Some(Verdict::RequestChanges) => "a request for changes",
            None => "a decision",
        };
        let summary = format!(
            "An {} recorded {decided} for you in {} on {}. If you did not ask for that, tell {}.",
            operator(&vote.identity),
            clean_line(&stage.name),
            Clock::of(&outcome.time_zone).first(&vote.decided_at),
            self.whom()
        );
        let start = "Decided for you";
        let notice = Notice { vote: Some(at), ..Notice::dated("decided", start, summary) };
        Some(self.about(outcome, &notice, |facts| facts.subject(start)))
    }

    fn about(
        self,
        outcome: &Outcome,
        notice: &Notice<'_>,
        subject: impl FnOnce(&Facts) -> Subject,
    ) -> Letter {
        let facts = &self.signed(Facts::of_outcome(outcome), &notice.summary);
        let Notice { vote, detail, is_dated, .. } = *notice;
        let clock = &Clock::of(&outcome.time_zone);
        let decision = &DecisionFacts {
            decided: clock.first(&outcome.decided_at),
            comment: vote.and_then(|at| comment_of(outcome, at)),
            answers: vote.map(|at| answers_of(outcome, at)).unwrap_or_default(),
            stages: stages(outcome, None, detail, clock, is_dated || !notice.why.is_empty()),
            others: stages(outcome, vote, detail, clock, is_dated || !notice.by.is_empty()),
        };
        Letter {
            kind: notice.kind,
            subject: subject(facts),
            text: rendered(&OutcomeText { facts, notice, decision }),
            html: rendered(&OutcomeHtml { facts, notice, decision }),
        }
    }

    /// Whom people ask about approvals.
    fn whom(self) -> String {
        match self.organization {
            Some(Organization { name, contact }) => format!("{name} ({contact})"),
            None => "whoever runs the approvals".to_owned(),
        }
    }

    /// With the words about who runs this, and with the contact unless it was said before.
    fn signed(self, mut facts: Facts, said: &str) -> Facts {
        if let Some(organization) = self.organization {
            let contact = organization.contact.as_str();
            facts.imprint = match said.contains(contact) {
                true => organization.imprint_without_contact(),
                false => organization.imprint(),
            };
            let is_address = contact.parse::<EmailAddress>().is_ok();
            if is_address || contact.starts_with("https://") {
                facts.addresses.push(contact.to_owned());
            }
        }
        facts
    }

    /// In whose place somebody is asked, and who wanted that; empty if they have their own.
    fn place(self, request: &ReviewRequest) -> String {
        let ReviewRequest { on_behalf_of, instead_of, reassigned_by, delegated, .. } = request;
        let replaced = instead_of.as_ref().map(|from| {
            let who = on_behalf_of.as_ref().map_or("you", |absent| absent.as_str());
            if let Some(Delegated { on_behalf_of, .. }) = delegated {
                let absent =
                    on_behalf_of.as_ref().map(|absent| format!(", as the deputy of {absent},"));
                let absent = absent.unwrap_or_default();
                return format!("{from}{absent} passed this to {who}.");
            }
            let by = reassigned_by.as_deref().map_or("operator".to_owned(), operator);
            format!("An {by} asked {who} to decide instead of {from}.")
        });
        let away = on_behalf_of.as_ref().map(|absent| {
            format!("You are asked instead of {absent}, who is away: you are their deputy.")
        });
        let is_own = replaced.is_none() && away.is_none();
        let wrong = self.organization.filter(|_| !is_own);
        let wrong = wrong.map(|_| format!("Not the right person? Tell {}.", self.whom()));
        [replaced, away, wrong].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// Who is asked and has not decided. `None` if nobody is.
fn undecided(stage: &Stage) -> Option<Vec<String>> {
    let people: Vec<_> = stage.undecided().map(|seat| seat.reviewer.to_string()).collect();
    (!people.is_empty()).then_some(people)
}

/// Of the level that was asked last.
fn deadline(outcome: &Outcome, stage: &Stage) -> String {
    Clock::of(&outcome.time_zone).first(&stage.deadline().map(to_message))
}

/// The identity is what the operator's client claimed.
fn operator(identity: &str) -> String {
    format!("operator ({})", clean_line(identity))
}

/// What becomes of a request that is not decided in time.
fn consequence(request: &ReviewRequest, clock: &Clock) -> String {
    match request.times_out_at {
        Some(_) => format!(
            "it ends undecided: it was started with a time-out, which is over before the deadline on {}",
            clock.later(&request.deadline)
        ),
        None => at_deadline(request.escalates, request.on_deadline).to_owned(),
    }
}

/// What becomes of a request that is not decided until its deadline.
fn at_deadline(escalates: bool, on_deadline: OnDeadline) -> &'static str {
    match on_deadline {
        _ if escalates => "others are asked",
        OnDeadline::Expire => "it ends undecided",
        OnDeadline::Reject => "it counts as rejected",
        OnDeadline::Approve => "it counts as approved unless somebody has rejected it",
    }
}

/// What became of it there.
fn result_of_silence(status: Status) -> &'static str {
    match status {
        Status::Approved => " It counts as approved.",
        Status::Rejected => " It counts as rejected.",
        Status::Expired => " It ended undecided.",
        Status::Pending | Status::ChangesRequested | Status::Withdrawn | Status::Unspecified => "",
    }
}

/// Whether it ended because its submitter did not make the changes that were requested.
fn is_not_revised(outcome: &Outcome) -> bool {
    matches!(because(outcome), Some(Reason::NotRevised(_)))
}

/// That it was revised, as a sentence; empty if it was not.
fn revised(outcome: &Outcome) -> String {
    match outcome.version() {
        FIRST_VERSION => String::new(),
        version => format!("It was revised; this is about version {version}, the latest."),
    }
}

fn expired(outcome: &Outcome, when: &str) -> String {
    if let Some(Reason::NotRevised(stage)) = because(outcome) {
        return format!(
            "The changes that were requested in {} were not made in time, so your submission ended on {when}, neither \
             approved nor rejected. If it is still needed, submit it again.",
            clean_line(stage)
        );
    }
    let somebody = outcome.stages.last().is_some_and(|stage| !stage.decisions.is_empty());
    let who = if somebody { "Too few people" } else { "Nobody" };
    format!(
        "{who} decided in time, so your submission ended on {when}, neither approved nor rejected. If \
         it is still needed, submit it again."
    )
}

/// Who has withdrawn it, as far as known: somebody who cancels a workflow leaves no name. The submitter is called so.
fn withdrawn_by(outcome: &Outcome, submitter: &str) -> String {
    if outcome.withdrawal.is_some() {
        return format!(" by {submitter}");
    }
    let mut newest_first = outcome.operator_actions.iter().rev();
    let withdrawal = newest_first.find(|action| action.action == names::SIGNAL_WITHDRAW);
    let identity = withdrawal.map(|action| action.identity.as_str());
    let known = identity.filter(|identity| !matches!(*identity, "" | "unknown"));
    known.map(|identity| format!(" by an {}", operator(identity))).unwrap_or_default()
}

fn withdrawal_reason(outcome: &Outcome) -> Option<Quote> {
    match because(outcome)? {
        Reason::Withdrawn(text) => Quote::new("Reason:".to_owned(), text),
        _ => None,
    }
}

/// Why a reviewer has delegated.
fn reason(Delegated { delegation, .. }: &Delegated) -> Option<Quote> {
    Quote::new("Their reason:".to_owned(), &delegation.reason)
}

fn stage_name(plan: &Plan, stage: u32) -> String {
    plan.stages.get(stage as usize).map(|stage| clean_line(&stage.name)).unwrap_or_default()
}

fn rendered(template: &impl Template) -> String {
    template.render().expect("the templates print only strings")
}

#[cfg(test)]
mod tests;
