//! Why an approval has its status, as data: sentences are made where they are shown.

use countersign_protos::{Verdict, v1};

use crate::approval::{Approval, Basis, ChangeRequest, EmailAddress, OnDeadline, Stage, Status};

/// Why an approval has its status. Stages go by their names, rules by theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason<'a> {
    /// The stage is next, and nobody was asked in it yet.
    NotOpened {
        stage: &'a str,
    },
    /// The stage is open, and has this many of the approvals that it needs.
    Waiting {
        stage: &'a str,
        approvals: usize,
        needed: usize,
    },
    /// The stage is open, and mail reaches nobody who may decide it.
    Unreachable {
        stage: &'a str,
    },
    /// This reviewer asked for changes, which wait for the submitter.
    ChangesRequested {
        stage: &'a str,
        reviewer: &'a EmailAddress,
    },
    /// The submitter did not make in time the changes that were requested in the stage.
    NotRevised {
        stage: &'a str,
    },
    /// These reviewers decided the stage, in the order of their votes.
    Votes {
        stage: &'a str,
        verdict: Verdict,
        reviewers: Vec<&'a EmailAddress>,
    },
    Rule {
        rule: &'a str,
        verdict: Verdict,
    },
    /// The stage's last deadline passed. Where that would have approved it, those who had rejected it
    /// made it a rejection.
    DeadlinePassed {
        stage: &'a str,
        effect: OnDeadline,
        rejected_by: Vec<&'a EmailAddress>,
    },
    /// With the text given for it, which may be empty.
    Withdrawn {
        text: &'a str,
    },
}

impl Approval {
    /// Why it has its status.
    pub fn reason(&self) -> Reason<'_> {
        match self.status() {
            Status::Pending(_, stage) => waiting(stage),
            Status::Approved(basis, _) => decided(basis, Verdict::Approve),
            Status::Rejected(basis, _) => decided(basis, Verdict::Reject),
            Status::ChangesRequested(ChangeRequest { stage, seat, .. }) => {
                Reason::ChangesRequested { stage: &stage.plan().name, reviewer: &seat.reviewer }
            }
            Status::Expired(stage, _) if stage.change_request().is_some() => {
                Reason::NotRevised { stage: &stage.plan().name }
            }
            Status::Expired(stage, _) => deadline_passed(stage, OnDeadline::Expire),
            Status::Withdrawn(withdrawal) => Reason::Withdrawn { text: &withdrawal.reason },
        }
    }
}

fn waiting(stage: &Stage) -> Reason<'_> {
    let name = &stage.plan().name;
    match stage.opened_at() {
        None => Reason::NotOpened { stage: name },
        Some(_) if stage.is_unreachable() => Reason::Unreachable { stage: name },
        Some(_) => Reason::Waiting {
            stage: name,
            approvals: voters(stage, Verdict::Approve).len(),
            needed: stage.plan().quorum.approvals(stage.electorate()),
        },
    }
}

fn decided(basis: Basis<'_>, verdict: Verdict) -> Reason<'_> {
    match (basis, verdict) {
        (Basis::Rule(rule), verdict) => Reason::Rule { rule, verdict },
        (Basis::Stage(stage), verdict) if !stage.ended_by_deadline() => {
            let reviewers = voters(stage, verdict);
            Reason::Votes { stage: &stage.plan().name, verdict, reviewers }
        }
        (Basis::Stage(stage), Verdict::Approve) => deadline_passed(stage, OnDeadline::Approve),
        (Basis::Stage(stage), Verdict::Reject | Verdict::RequestChanges) => {
            deadline_passed(stage, OnDeadline::Reject)
        }
    }
}

fn deadline_passed(stage: &Stage, effect: OnDeadline) -> Reason<'_> {
    let rejected_by = match stage.plan().on_deadline == effect {
        true => Vec::new(),
        false => voters(stage, Verdict::Reject),
    };
    Reason::DeadlinePassed { stage: &stage.plan().name, effect, rejected_by }
}

fn voters(stage: &Stage, verdict: Verdict) -> Vec<&EmailAddress> {
    let votes = stage.votes().into_iter().filter(|(_, vote)| vote.verdict == verdict);
    votes.map(|(seat, _)| &seat.reviewer).collect()
}

impl From<Reason<'_>> for v1::Reason {
    fn from(reason: Reason<'_>) -> Self {
        use v1::reason::{ChangesRequested, DeadlinePassed, Reason as Kind, Votes, Waiting};
        let addresses =
            |people: Vec<&EmailAddress>| people.iter().map(ToString::to_string).collect();
        let reason = match reason {
            Reason::NotOpened { stage } => Kind::NotOpened(stage.to_owned()),
            Reason::Waiting { stage, approvals, needed } => Kind::Waiting(Waiting {
                stage: stage.to_owned(),
                approvals: approvals as u32,
                needed: needed as u32,
            }),
            Reason::Unreachable { stage } => Kind::Unreachable(stage.to_owned()),
            Reason::ChangesRequested { stage, reviewer } => {
                let (stage, reviewer) = (stage.to_owned(), reviewer.to_string());
                Kind::ChangesRequested(ChangesRequested { stage, reviewer })
            }
            Reason::NotRevised { stage } => Kind::NotRevised(stage.to_owned()),
            Reason::Votes { stage, reviewers, .. } => {
                Kind::Votes(Votes { stage: stage.to_owned(), reviewers: addresses(reviewers) })
            }
            Reason::Rule { rule, .. } => Kind::Rule(rule.to_owned()),
            Reason::DeadlinePassed { stage, effect, rejected_by } => {
                Kind::DeadlinePassed(DeadlinePassed {
                    stage: stage.to_owned(),
                    effect: effect.to_string(),
                    rejected_by: addresses(rejected_by),
                })
            }
            Reason::Withdrawn { text } => Kind::Withdrawn(text.to_owned()),
        };
        Self { reason: Some(reason) }
    }
}
