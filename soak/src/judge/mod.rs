//! The judgement of a run with an adversary, who can stop, delay and hurry approvals: so it asks only
//! whether everything that people and programs were told is true. Pure.
//!
//! An outcome has to follow from the presses of people, from what operators did, and from deadlines,
//! which the adversary can bring about. The rules are written a third time here, since an adversary may
//! leave out votes: what is told has to follow from the votes that are told, and each of these from what
//! somebody did.

mod facts;
mod mail;
mod outcome;
mod page;
mod signed;

use std::collections::{HashMap, HashSet};

use countersign_e2e::{Delivery, Mail};
use serde_json::Value;

use crate::ledger::Page;

pub(crate) use facts::{Approval, Facts, OperatorAct, Press};
pub(crate) use outcome::COMMENT;

/// What people and programs were told.
#[derive(Default)]
pub(crate) struct Evidence {
    /// Outcomes as they were concluded, and sealed as a whole.
    pub(crate) outcomes: Vec<Value>,
    /// Results of workflows. Of these only what is signed counts.
    pub(crate) results: Vec<Value>,
    /// Requests to the webhook.
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) mails: Vec<Mail>,
    pub(crate) pages: Vec<Page>,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// An outcome as it was sealed.
    Outcome,
    /// What is signed in a workflow's result.
    Result,
    /// A request to the webhook.
    Webhook,
    Mail,
    Page,
}

impl Kind {
    /// All kinds, in the report's order.
    pub(crate) const ALL: [Kind; 5] =
        [Kind::Outcome, Kind::Result, Kind::Webhook, Kind::Mail, Kind::Page];

    /// The name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Outcome => "outcomes",
            Kind::Result => "results",
            Kind::Webhook => "webhooks",
            Kind::Mail => "mails",
            Kind::Page => "pages",
        }
    }
}

/// Something that nothing explains.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// Its position among the evidence of its kind.
    pub(crate) position: usize,
    /// Why nothing explains it.
    pub(crate) why: String,
}

/// Everything that nothing explains.
pub(crate) fn judge(facts: &Facts, evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut judge = |kind, position, explained: Result<(), String>| {
        if let Err(why) = explained {
            findings.push(Finding { kind, position, why });
        }
    };
    let mut explained = HashSet::new();
    for (position, outcome) in evidence.outcomes.iter().enumerate() {
        let claims = signed::claims(facts, outcome).ok_or_else(|| "it is not signed".to_owned());
        let result = claims.and_then(|claims| {
            signed::explain_outcome(facts, outcome, &claims)?;
            explained.insert(format!("{claims:?}"));
            Ok(())
        });
        judge(Kind::Outcome, position, result);
    }
    for (position, result) in evidence.results.iter().enumerate() {
        // What is not signed may say anything, and so may the rest of it around a copied signature.
        let Some(claims) = signed::claims(facts, result) else { continue };
        if !explained.contains(&format!("{claims:?}")) {
            judge(Kind::Result, position, signed::explain_outcome(facts, result, &claims));
        }
    }
    let mut seen = HashMap::new();
    for (position, delivery) in evidence.deliveries.iter().enumerate() {
        judge(Kind::Webhook, position, signed::explain_delivery(facts, delivery, &mut seen));
    }
    for (position, mail) in evidence.mails.iter().enumerate() {
        judge(Kind::Mail, position, mail::explain_mail(facts, mail));
    }
    let shown = facts.as_shown();
    for (position, page) in evidence.pages.iter().enumerate() {
        judge(Kind::Page, position, page::explain_page(&shown, page, &explained));
    }
    findings
}

#[cfg(test)]
mod tests;
