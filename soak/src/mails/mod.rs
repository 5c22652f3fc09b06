//! The mails as their recipients get them, whichever way they come: from an outbox, by SMTP, or
//! through SNS.

mod outbox;
mod smtp;
mod sns;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use countersign_e2e::Mail;
use tokio::sync::watch;

use crate::{
    installation::Part,
    traps::{MAIL, Traps},
};

pub(crate) use outbox::Outbox;
pub(crate) use smtp::Smtp;
pub(crate) use sns::Sns;

/// What goes wrong with mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The mail server's port is closed.
    SmtpRefused,
    /// The mail server has no time: 421 at the start.
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
    /// All of them.
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

    /// What the report calls it.
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

/// A link that was mailed to somebody.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// The approval ID.
    pub(crate) id: String,
    /// The name of the stage that asks.
    pub(crate) stage: String,
    /// Whether its mail was refused for good, so that they never got it.
    pub(crate) refused: bool,
}

/// What people got so far.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The links for an address, each once.
    pub(crate) links: HashMap<String, Vec<Link>>,
    /// Who was told an outcome, or never will be by mail.
    pub(crate) told: HashSet<String>,
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
            if !mail.has_links() {
                self.told.insert(to.clone());
                continue;
            }
            let (links, id) = (self.links.entry(to.clone()).or_default(), mail.approval_id());
            match links.iter_mut().find(|link| link.id == id) {
                Some(link) => link.refused &= refused,
                None => {
                    let stage = mail.text.lines().find_map(|line| line.strip_prefix("Stage: "));
                    let stage = stage.unwrap_or_default().trim().to_owned();
                    links.push(Link { id, stage, refused });
                }
            }
        }
    }
}

/// All mails, and what goes wrong with them.
pub(crate) struct Mails {
    found: Mutex<Found>,
    changes: watch::Sender<u64>,
    fault: watch::Sender<Option<Fault>>,
    traps: Arc<Traps>,
}

impl Mails {
    /// None so far.
    pub(crate) fn new(traps: &Arc<Traps>) -> Arc<Mails> {
        Arc::new(Mails {
            found: Mutex::default(),
            changes: watch::channel(0).0,
            fault: watch::channel(None).0,
            traps: traps.clone(),
        })
    }

    /// From now on this goes wrong, or nothing does.
    pub(crate) fn suffer(&self, fault: Option<Fault>) {
        self.fault.send_replace(fault);
    }

    fn suffers(&self, fault: Fault) -> bool {
        *self.fault.borrow() == Some(fault)
    }

    /// Whether this one mail is refused for good, of which there is one at a time.
    fn refuses(&self, fault: Fault) -> bool {
        self.fault.send_if_modified(|now| now.take_if(|now| *now == fault).is_some())
    }

    /// Waits until the one mail has been refused.
    pub(crate) async fn suffered(&self) {
        // The sender lives as long as this value.
        let _ = self.fault.subscribe().wait_for(Option::is_none).await;
    }

    /// A mail is taken. Whether the worker that sent it is caught at that.
    fn take(&self, mail: &Mail, sender: Part) -> bool {
        self.add(mail, false);
        self.traps.catches(MAIL.what, MAIL.moment, sender)
    }

    fn add(&self, mail: &Mail, refused: bool) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).add(mail, refused);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Looks at what was found so far.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Found) -> T) -> T {
        at(&self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something to see.
    pub(crate) async fn until<T>(&self, look: impl Fn(&Found) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(seen) = self.look(&look) {
                return seen;
            }
            // The sender lives as long as this value.
            let _ = changes.changed().await;
        }
    }

    /// Whose link an approval ID is.
    pub(crate) fn recipient(&self, id: &str) -> Option<String> {
        let holds = |(_, links): &(&String, &Vec<Link>)| links.iter().any(|link| link.id == id);
        self.look(|found| found.links.iter().find(holds).map(|(to, _)| to.clone()))
    }
}
