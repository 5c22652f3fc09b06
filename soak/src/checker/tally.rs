//! The votes of one history, counted again.

use std::collections::HashMap;

use countersign_e2e::text;
use serde_json::Value;

use crate::{
    history::Event,
    submission::{Quorum, Stage, Submission},
};

/// One stage as it is counted here.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Count {
    pub(super) votes: Vec<(String, bool)>,
    /// Who had whom asked in their place, and why.
    pub(super) delegations: Vec<[String; 3]>,
    /// Whether somebody wants changes.
    is_sent_back: bool,
    pub(super) end: Option<&'static str>,
}

impl Count {
    /// Whether this reviewer of the stage was asked and has not been replaced.
    fn asks(&self, plan: &Stage, reviewer: &str) -> bool {
        let is_replaced = self.delegations.iter().any(|[from, ..]| from == reviewer);
        !is_replaced && self.has_asked(plan, reviewer)
    }

    /// Whether this reviewer has, or had, a place in the stage.
    fn has_asked(&self, plan: &Stage, reviewer: &str) -> bool {
        plan.reviewers.iter().any(|planned| planned == reviewer)
            || self.delegations.iter().any(|[_, to, _]| to == reviewer)
    }

    fn has_voted(&self, reviewer: &str) -> bool {
        self.votes.iter().any(|(other, _)| other == reviewer)
    }
}

/// Whose link it is.
pub(super) struct Holder<'a> {
    pub(super) version: usize,
    pub(super) stage: usize,
    reviewer: &'a str,
}

/// The last version that there can be.
const LAST_VERSION: usize = 6;

/// The votes in the history's order, counted again: those for the latest version.
pub(super) struct Tally<'a> {
    submission: &'a Submission,
    plan: &'a [Stage],
    links: HashMap<&'a str, Holder<'a>>,
    pub(super) counts: Vec<Count>,
    version: usize,
    /// What came while a revision was looked at.
    held: Option<Vec<(&'a str, &'a Value)>>,
    /// The stages whose deadlines have passed, and were not acted on yet.
    deadlines: Vec<usize>,
    cancelled: bool,
    /// Whether it was revised, and nobody is asked yet: who decides now has not seen it.
    is_unseen: bool,
    pub(super) withdrawn: bool,
}

impl<'a> Tally<'a> {
    pub(super) fn of(submission: &'a Submission, events: &'a [Event]) -> Self {
        let plan = &submission.stages[..];
        let mut tally = Tally {
            submission,
            plan,
            links: holders(events),
            counts: vec![Count::default(); plan.len()],
            version: 1,
            held: None,
            deadlines: Vec::new(),
            cancelled: false,
            is_unseen: false,
            withdrawn: false,
        };
        for event in events {
            match event {
                Event::Signal { name, decision, .. } => tally.receive(name, decision),
                Event::Revised => tally.revise(),
                Event::NotRevised => {
                    tally.release();
                    tally.act();
                }
                Event::Deadline(stage) => tally.deadlines.push(*stage),
                Event::Reminder(stage, true) => tally.deadlines.push(*stage),
                Event::Reminder(_, false) => {}
                Event::Cancelled => tally.cancelled = true,
                Event::Acted => tally.act(),
                Event::Asked(..) => tally.is_unseen = false,
                Event::MailedAgain | Event::Completed(_) | Event::Failed(_) => {}
            }
        }
        tally
    }

    /// The stage that takes decisions now.
    fn open(&self) -> Option<usize> {
        if self.withdrawn {
            return None;
        }
        self.current().filter(|stage| !self.counts[*stage].is_sent_back)
    }

    /// The stage that takes decisions, or changes.
    fn current(&self) -> Option<usize> {
        let open = self.counts.iter().position(|count| count.end != Some("APPROVED"))?;
        (self.counts[open].end.is_none() && !self.withdrawn).then_some(open)
    }

    pub(super) fn status(&self) -> &'static str {
        match self.current() {
            _ if self.withdrawn => "WITHDRAWN",
            Some(stage) if self.counts[stage].is_sent_back => "CHANGES_REQUESTED",
            Some(_) => "PENDING",
            None => self
                .counts
                .iter()
                .find_map(|c| c.end.filter(|end| *end != "APPROVED"))
                .unwrap_or("APPROVED"),
        }
    }

    /// What comes while a revision is looked at waits for the answer.
    fn receive(&mut self, name: &'a str, decision: &'a Value) {
        if let Some(held) = &mut self.held {
            return held.push((name, decision));
        }
        match name {
            "revise" if self.can_be_revised() && !key(decision).is_empty() => {
                self.held = Some(Vec::new());
            }
            "withdraw" => self.withdrawn |= self.current().is_some(),
            "reassign" => self.delegate(decision),
            _ if self.is_unseen => {}
            _ => self.signal(name, decision),
        }
    }

    fn can_be_revised(&self) -> bool {
        let is_sent_back = self.current().is_some_and(|stage| self.counts[stage].is_sent_back);
        let has_votes = self.counts.iter().any(|count| !count.votes.is_empty());
        let is_open = is_sent_back || self.current().is_some() && !has_votes;
        is_open && self.version < LAST_VERSION
    }

    /// It begins anew, and no earlier vote stays. Whoever decided meanwhile has not seen it.
    fn revise(&mut self) {
        self.counts = vec![Count::default(); self.plan.len()];
        self.version += 1;
        self.is_unseen = true;
        self.deadlines.clear();
        self.release();
    }

    fn release(&mut self) {
        let held = self.held.take().unwrap_or_default();
        held.into_iter().for_each(|(name, decision)| self.receive(name, decision));
    }

    /// Decisions that are there when the workflow acts count before a withdrawal, and that before a deadline. While a
    /// revision is looked at, the workflow acts on nothing else.
    fn act(&mut self) {
        if self.held.is_none() {
            self.withdrawn |= self.cancelled && self.current().is_some();
            std::mem::take(&mut self.deadlines).into_iter().for_each(|stage| self.deadline(stage));
        }
    }

    /// Whoever may decide in the open stage, and has not, can have a colleague asked who never was there. Nothing that
    /// the replaced one does afterwards counts.
    fn delegate(&mut self, decision: &Value) {
        let [link, to, reason] = ["link", "to", "reason"].map(|field| text(&decision[field]));
        let Some(holder) = self.links.get(link.as_str()) else { return };
        let (version, stage, from) = (holder.version, holder.stage, holder.reviewer.to_owned());
        if version != self.version || self.open() != Some(stage) {
            return;
        }
        let (plan, count) = (&self.plan[stage], &mut self.counts[stage]);
        let waits = count.asks(plan, &from) && !count.has_voted(&from);
        let is_allowed = self.submission.may_delegate_to(&to) && !reason.trim().is_empty();
        if waits && is_allowed && !count.has_asked(plan, &to) {
            count.delegations.push([from, to, reason]);
        }
    }

    fn signal(&mut self, name: &str, decision: &Value) {
        let (approves, is_back) = match name {
            "approve" => (true, false),
            "reject" => (false, false),
            "request_changes" => (false, true),
            _ => return,
        };
        let Some(open) = self.open() else { return };
        let (link, reviewer) = (text(&decision["link"]), text(&decision["reviewer"]));
        // A link is of one version; whoever names a reviewer means the first one, unless they name another.
        let named = decision["version"].as_u64().unwrap_or(1) as usize;
        let reviewer = match (link.as_str(), self.links.get(link.as_str())) {
            ("", _) if named == self.version => reviewer,
            (_, Some(holder)) if (holder.version, holder.stage) == (self.version, open) => {
                holder.reviewer.to_owned()
            }
            _ => return,
        };
        let (plan, count) = (&self.plan[open], &mut self.counts[open]);
        let is_silent = is_back && text(&decision["comment"]).trim().is_empty();
        if count.has_voted(&reviewer) || is_silent || !count.asks(plan, &reviewer) {
            return;
        }
        if is_back && self.version == LAST_VERSION {
            return;
        }
        count.votes.push((reviewer, approves));
        if is_back {
            count.is_sent_back = true;
            return;
        }
        let asked = plan.reviewers.len();
        let needed = match plan.quorum {
            Quorum::Any => 1,
            Quorum::All => asked,
            Quorum::Of(needed) => needed,
        };
        let approvals = count.votes.iter().filter(|(_, approves)| *approves).count();
        let rejections = count.votes.len() - approvals;
        let hopeless = match plan.quorum {
            Quorum::Any => rejections > 0,
            _ => asked - rejections < needed,
        };
        if approvals >= needed {
            count.end = Some("APPROVED");
        } else if hopeless {
            count.end = Some("REJECTED");
        }
    }

    fn deadline(&mut self, stage: usize) {
        if self.open() == Some(stage) {
            let rejected = self.counts[stage].votes.iter().any(|(_, approves)| !approves);
            self.counts[stage].end = Some(match self.plan[stage].on_deadline {
                "approve" if !rejected => "APPROVED",
                "approve" | "reject" => "REJECTED",
                _ => "EXPIRED",
            });
        }
    }
}

/// The links of all versions.
pub(super) fn holders(events: &[Event]) -> HashMap<&str, Holder<'_>> {
    let (mut version, mut holders) = (1, HashMap::new());
    for event in events {
        match event {
            Event::Revised => version += 1,
            Event::Asked(link, stage, reviewer) => {
                holders.insert(&**link, Holder { version, stage: *stage, reviewer });
            }
            _ => {}
        }
    }
    holders
}

/// By what a signal of somebody is found again.
pub(super) fn key(decision: &Value) -> String {
    let places = [
        &decision["comment"],
        &decision["reason"],
        &decision["document"]["description"],
        &decision["submission"]["document"]["description"],
    ];
    places.iter().map(|place| text(place)).find(|key| !key.is_empty()).unwrap_or_default()
}
