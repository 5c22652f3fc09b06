//! The mails as their recipients get them, whichever way they come: from an outbox, by SMTP, or
//! through SNS.

mod outbox;
mod smtp;
mod sns;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use countersign_e2e::Mail;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    failpoints::{Failpoints, MAIL},
    part::Part,
};

pub(crate) use outbox::Outbox;
pub(crate) use smtp::Smtp;
pub(crate) use sns::Sns;

/// What can go wrong with mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The mail server's port is closed.
    SmtpRefused,
    /// The mail server is busy: 421 at the start.
    SmtpBusy,
    /// The mail server cannot take mails for now: 451.
    SmtpLater,
    /// The mail server says nothing.
    SmtpHangs,
    /// The connection is cut when the mail server has the mail, before it says so.
    SmtpCut,
    /// The mail server refuses one mail for good: 550.
    SmtpNever,
    /// SNS answers that there were too many requests.
    SnsThrottled,
    /// SNS answers 500 and 503.
    SnsBroken,
    /// SNS takes the mail, and its answer is lost.
    SnsCut,
    /// SNS refuses one mail for good.
    SnsNever,
    /// The outbox's disk is full.
    DiskFull,
}

impl Fault {
    pub(crate) const ALL: [Fault; 11] = [
        Fault::SmtpRefused,
        Fault::SmtpBusy,
        Fault::SmtpLater,
        Fault::SmtpHangs,
        Fault::SmtpCut,
        Fault::SmtpNever,
        Fault::SnsThrottled,
        Fault::SnsBroken,
        Fault::SnsCut,
        Fault::SnsNever,
        Fault::DiskFull,
    ];

    /// The name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::SmtpRefused => "SMTP: connections refused",
            Fault::SmtpBusy => "SMTP: 421",
            Fault::SmtpLater => "SMTP: 451",
            Fault::SmtpHangs => "SMTP: hangs",
            Fault::SmtpCut => "SMTP: cut after the mail was taken",
            Fault::SmtpNever => "SMTP: one mail refused for good (550)",
            Fault::SnsThrottled => "SNS: throttled",
            Fault::SnsBroken => "SNS: 500 and 503",
            Fault::SnsCut => "SNS: answers lost after the mail was taken",
            Fault::SnsNever => "SNS: one mail refused for good",
            Fault::DiskFull => "outbox: disk full",
        }
    }
}

/// How mails begin that tell a submitter what their approval waits for, and of no outcome.
const OF_NO_OUTCOME: [&str; 3] = ["Nobody can be reached", "Waiting for ", CHANGES];
const CHANGES: &str = "Changes requested.";

/// A link that was mailed to somebody.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) id: String,
    /// The workflow ID that the link hints at.
    pub(crate) workflow: String,
    /// The name of the stage that asks.
    pub(crate) stage: String,
    /// Which version it asks about.
    pub(crate) version: u32,
    /// Whether its mail was refused for good, so that they never got it.
    pub(crate) refused: bool,
}

/// What recipients have got so far.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The links for an address, each once.
    pub(crate) links: HashMap<String, Vec<Link>>,
    /// The links of submitters to their own pages, each once, with whether its mail was refused for good.
    pub(crate) own: HashMap<String, Vec<(String, bool)>>,
    /// Who was notified of an outcome, or never will be by mail: by which Message-IDs, which mails through SNS
    /// do not have.
    pub(crate) notified: HashMap<String, BTreeSet<String>>,
    /// How many mails there are, each counted once.
    pub(crate) mails: usize,
    /// How many came again.
    pub(crate) again: usize,
    /// How many were refused for good.
    pub(crate) refused: usize,
    seen: HashSet<(String, String)>,
}

impl Found {
    fn add(&mut self, mail: &Mail, refused: bool) {
        let words = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
        for to in &mail.to {
            let is_new = refused || self.seen.insert((to.clone(), words.clone()));
            let counter = match (refused, is_new) {
                (true, _) => &mut self.refused,
                (false, true) => &mut self.mails,
                (false, false) => &mut self.again,
            };
            *counter += 1;
            if let Some(id) = mail.own_id().filter(|_| mail.text.starts_with(CHANGES)) {
                let own = self.own.entry(to.clone()).or_default();
                match own.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, unread)) => *unread &= refused,
                    None => own.push((id, refused)),
                }
            }
            if OF_NO_OUTCOME.iter().any(|words| mail.text.starts_with(words)) {
                continue;
            }
            if !mail.has_links() {
                let id = Some(mail.header("Message-ID")).filter(|id| !id.is_empty());
                self.notified.entry(to.clone()).or_default().extend(id);
                continue;
            }
            let (links, id) = (self.links.entry(to.clone()).or_default(), mail.approval_id());
            match links.iter_mut().find(|link| link.id == id) {
                Some(link) => link.refused &= refused,
                None => {
                    let stage = mail.text.lines().find_map(|line| line.strip_prefix("Stage: "));
                    let stage = stage.unwrap_or_default().trim().to_owned();
                    let version = version(&words);
                    links.push(Link { id, workflow: mail.hint(), stage, version, refused });
                }
            }
        }
    }
}

/// Which version a request is about. Mails say so of those after the first.
fn version(words: &str) -> u32 {
    let (_, rest) = words.split_once("This is version ").unwrap_or_default();
    let number = rest.split_once('.').and_then(|(number, _)| number.parse().ok());
    number.unwrap_or(1)
}

/// All mails, and what goes wrong with them.
pub(crate) struct Mails {
    found: Mutex<Found>,
    /// Every mail that was taken, where they are kept.
    kept: Option<Mutex<Vec<Mail>>>,
    changes: watch::Sender<u64>,
    fault: watch::Sender<Option<Fault>>,
    failpoints: Arc<Failpoints>,
}

impl Mails {
    /// No mails yet; whether each of them is kept as a whole.
    pub(crate) fn new(failpoints: &Arc<Failpoints>, keeps: bool) -> Arc<Mails> {
        Arc::new(Mails {
            found: Mutex::default(),
            kept: keeps.then(Mutex::default),
            changes: watch::channel(0).0,
            fault: watch::channel(None).0,
            failpoints: failpoints.clone(),
        })
    }

    /// Begins a fault, or ends the one that there is.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.fault.send_replace(fault);
    }

    fn has_fault(&self, fault: Fault) -> bool {
        *self.fault.borrow() == Some(fault)
    }

    /// Whether one mail is to be refused for good; true once for each such fault.
    fn take_fault(&self, fault: Fault) -> bool {
        self.fault.send_if_modified(|now| now.take_if(|now| *now == fault).is_some())
    }

    /// Waits until the one mail has been refused.
    pub(crate) async fn fault_taken(&self) {
        // The sender lives as long as this value.
        let _ = self.fault.subscribe().wait_for(Option::is_none).await;
    }

    /// Takes a mail. Returns whether the worker that sent it is to be held there.
    fn take(&self, mail: &Mail, sender: Part) -> bool {
        if let Some(kept) = &self.kept {
            kept.lock().push(mail.clone());
        }
        self.add(mail, false);
        self.failpoints.hit(MAIL.what, MAIL.moment, sender)
    }

    fn add(&self, mail: &Mail, refused: bool) {
        self.found.lock().add(mail, refused);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Every mail so far, where they are kept.
    pub(crate) fn kept(&self) -> Vec<Mail> {
        self.kept.as_ref().map(|kept| kept.lock().clone()).unwrap_or_default()
    }

    /// Reads what was found so far.
    pub(crate) fn read<T>(&self, at: impl FnOnce(&Found) -> T) -> T {
        at(&self.found.lock())
    }

    /// Waits until `look` finds something.
    pub(crate) async fn until<T>(&self, look: impl Fn(&Found) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(seen) = self.read(&look) {
                return seen;
            }
            // The sender lives as long as this value.
            let _ = changes.changed().await;
        }
    }

    /// Who was mailed an approval ID.
    pub(crate) fn recipient(&self, id: &str) -> Option<String> {
        let holds = |(_, links): &(&String, &Vec<Link>)| links.iter().any(|link| link.id == id);
        self.read(|found| found.links.iter().find(holds).map(|(to, _)| to.clone()))
    }

    /// All approval IDs that were mailed.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.read(|found| {
            let links = found.links.values().flatten().map(|link| link.id.clone());
            links.chain(found.own.values().flatten().map(|(id, _)| id.clone())).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submitter_is_notified_by_an_outcome_and_by_nothing_before() {
        let notified = |text: &str| {
            let mail = Mail {
                from: String::new(),
                to: vec!["sub@example.com".to_owned()],
                subject: String::new(),
                content_type: String::new(),
                text: text.to_owned(),
                html: String::new(),
                raw: Vec::new(),
            };
            let mut found = Found::default();
            found.add(&mail, false);
            assert_eq!(found.mails, 1, "{text}");
            found.notified.contains_key("sub@example.com")
        };
        assert!(notified("Your submission is approved."));
        assert!(!notified("Waiting for S0 to decide. ann@example.com has until Monday."));
        assert!(!notified("Nobody can be reached to decide your submission."));
        assert!(!notified("Changes requested. ann@example.com asks you to change it (S0)."));
    }
}
