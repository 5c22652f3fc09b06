//! Who is asked and was asked, by which link, and how they have decided.

use countersign_protos::{
    Statement, Verdict, answers, comment_hash,
    v1::{Answer, Proof},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ballot::Ballot, delegation::Delegation, email::EmailAddress};

/// Who has to be asked now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToAsk {
    /// The position of their stage.
    pub stage: usize,
    /// The number of seats that the stage has; with the reviewer, it makes a link.
    pub round: u32,
    pub whom: Whom,
    /// Who has a place in the stage already: neither they nor deputies for them are asked.
    pub taken: Vec<EmailAddress>,
}

/// Whom a stage has to ask next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whom {
    /// The reviewers of a level.
    Level(usize),
    /// The second in place of the first.
    Replacement(EmailAddress, EmailAddress),
    /// The same reviewer, for the same people, by a new link.
    #[serde(rename_all = "camelCase")]
    Reissue {
        reviewer: EmailAddress,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<EmailAddress>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<EmailAddress>,
        /// Of the seat that they have.
        old_round: u32,
        /// The hash of the link that they have: nobody knows that of one which was never issued.
        old_link: String,
    },
    /// Whoever submitted it, for the changes that were requested.
    Submitter,
}

/// A reviewer who was asked in a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Seat {
    pub reviewer: EmailAddress,
    /// The absent reviewer, if this one is their deputy.
    pub on_behalf_of: Option<EmailAddress>,
    /// The number of seats that the stage had before; with the reviewer, it makes a link.
    pub round: u32,
    /// The reviewer whom this one replaces.
    pub instead_of: Option<EmailAddress>,
    /// Who wanted that.
    pub arranged: Option<Arranged>,
    /// The hash of their approval ID.
    pub link: String,
    /// What checks the proofs of this link.
    pub key: String,
    pub status: SeatStatus,
    pub vote: Option<Vote>,
}

/// Whether a reviewer may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatStatus {
    Asked,
    /// They may decide, but their request was refused permanently.
    Unreachable,
    /// They may not: somebody else was asked in their place.
    Superseded,
}

/// A reviewer who is asked, with their link and what it was issued for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invited {
    /// The stage's position, from 0.
    pub stage: u32,
    /// The number of seats that the stage had before.
    pub round: u32,
    pub reviewer: EmailAddress,
    /// The absent reviewer, if this one is their deputy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<EmailAddress>,
    /// The reviewer whom this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<EmailAddress>,
    /// The hash of their approval ID.
    pub link: String,
    /// What checks the proofs of this link: see [`Proof`].
    pub key: String,
}

impl Invited {
    /// Whether both are for the same mailboxes as well as for the same people, who may have several.
    pub fn is_exactly(&self, other: &Self) -> bool {
        fn texts(one: &Invited) -> (&str, [Option<&str>; 2]) {
            let others = [&one.on_behalf_of, &one.instead_of];
            (one.reviewer.as_str(), others.map(|one| one.as_ref().map(EmailAddress::as_str)))
        }
        self == other && texts(self) == texts(other)
    }
}

/// A reviewer who has to be replaced, and by whom; by themselves where they get a new link.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Replacement {
    pub(crate) from: EmailAddress,
    pub(crate) to: EmailAddress,
    /// `None` for a new link.
    pub(crate) by: Option<Arranged>,
}

impl Replacement {
    pub(crate) fn by_new_link(reviewer: EmailAddress) -> Self {
        Self { from: reviewer.clone(), to: reviewer, by: None }
    }

    pub(crate) fn is_delegated(&self) -> bool {
        matches!(self.by, Some(Arranged::Delegation { .. }))
    }
}

/// Who has had somebody asked in another's place.
#[derive(Debug, Clone, PartialEq)]
pub enum Arranged {
    /// An operator who claims this identity.
    Operator(String),
    /// The one who is replaced.
    Delegation { delegation: Delegation, at: Timestamp },
}

/// How a decision came.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    /// The holder of the reviewer's link decided so.
    Link(Proof),
    /// Somebody signalled it for the reviewer, and claimed this identity.
    Operator(String),
}

/// A decision that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Vote {
    pub verdict: Verdict,
    pub by: By,
    /// Empty if nothing was written.
    pub comment: String,
    /// In the order of the fields.
    pub answers: Vec<Answer>,
    pub at: Timestamp,
    /// The number of votes that the stage had before.
    pub order: usize,
}

impl Invited {
    /// The first one in the first stage, whose link can prove nothing.
    pub fn new(reviewer: EmailAddress, link: String) -> Self {
        let (on_behalf_of, instead_of, key) = (None, None, String::new());
        Self { stage: 0, round: 0, reviewer, on_behalf_of, instead_of, link, key }
    }

    /// Whether they can be meant: by a new link, nobody else is asked. Who the deputies are is known outside.
    pub(crate) fn can_be_among(&self, whom: &Whom) -> bool {
        match whom {
            Whom::Level(_) | Whom::Replacement(..) => true,
            Whom::Submitter => false,
            Whom::Reissue { reviewer, on_behalf_of, instead_of, .. } => {
                (&self.reviewer, &self.on_behalf_of, &self.instead_of)
                    == (reviewer, on_behalf_of, instead_of)
            }
        }
    }
}

impl Seat {
    pub(crate) fn waits(&self) -> bool {
        self.vote.is_none() && self.status != SeatStatus::Superseded
    }

    /// How a decision for this seat came: by its link only if the proof holds.
    pub(crate) fn by(&self, ballot: &Ballot) -> By {
        // A hash says nothing for another comment that stands beside it.
        let left_out = ballot.left_out.clone().filter(|_| ballot.comment.is_empty());
        let comment = &left_out.unwrap_or_else(|| comment_hash(&ballot.comment));
        let left_out = ballot.answers_left_out.clone().filter(|_| ballot.answers.is_empty());
        let answers = &left_out.unwrap_or_else(|| answers::hash(&ballot.answers));
        let said = Statement::Vote { verdict: ballot.verdict, comment, answers };
        let holds = |proof: &&Proof| proof.proves(&self.key, &self.link, said);
        match ballot.proof.as_ref().filter(holds) {
            Some(proof) => By::Link(proof.clone()),
            None => By::Operator(ballot.identity.clone()),
        }
    }

    /// Whether this is the same people's seat as an earlier one that is superseded.
    pub(crate) fn replaces_link_of(&self, earlier: &Seat) -> bool {
        let Seat { reviewer, on_behalf_of, instead_of, .. } = earlier;
        (&self.reviewer, &self.on_behalf_of, &self.instead_of)
            == (reviewer, on_behalf_of, instead_of)
            && earlier.status == SeatStatus::Superseded
            && self.round > earlier.round
    }

    /// Whose vote this is: the reviewer's, and the absent one's.
    pub fn people(&self) -> impl Iterator<Item = &EmailAddress> {
        std::iter::once(&self.reviewer).chain(&self.on_behalf_of)
    }
}
