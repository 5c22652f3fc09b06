//! By which keys mails refer to one another.

use countersign_protos::LinkContext;
use jiff::Timestamp;

use crate::{
    approval::{Approval, EmailAddress, Stage},
    leaves::{Leaves, SeatOf},
    recorded::EarlierRequest,
};

/// The key of a request, by which later mails to the reviewer refer to it. After a reset it is another one
/// for the same link: a mail program drops a mail whose Message-ID it has.
pub(super) fn thread(link: &str, asked_at: Option<Timestamp>) -> String {
    match asked_at {
        Some(at) => format!("{link}.{}", at.as_second()),
        None => link.to_owned(),
    }
}

/// The key of an earlier request, if the plan bears out that there can have been one.
pub(super) fn thread_of_earlier(
    leaves: Leaves<'_>,
    seat: SeatOf<'_>,
    earlier: &EarlierRequest,
) -> Option<String> {
    let EarlierRequest { round, asked_at, version } = earlier;
    let link = match version {
        None => leaves.link(SeatOf { round: *round, ..seat }),
        Some(version) if leaves.plan.revises(&version.digest) => leaves.key.link(LinkContext {
            stage: version.stage,
            round: *round,
            on_behalf_of: version.on_behalf_of.as_ref().map_or("", EmailAddress::as_str),
            instead_of: version.instead_of.as_ref().map_or("", EmailAddress::as_str),
            ..LinkContext::new(leaves.chain, &version.digest, seat.reviewer.as_str())
        }),
        Some(_) => return None,
    };
    Some(thread(link.hash().as_str(), Some(*asked_at)))
}

/// The thread of the submitter's notices, and the key of the one that says that people are asked. Without that
/// one, mail programs show together what refers to it all the same (RFC 5256).
pub(super) fn thread_of_submitter(first_run_id: &str) -> String {
    format!("{first_run_id}.submitter")
}

/// The thread of a reviewer's latest request.
pub(super) fn thread_of(approval: &Approval, reviewer: &EmailAddress) -> String {
    let mut seats = approval.stages().iter().flat_map(Stage::seats);
    let seat = seats.rfind(|seat| seat.reviewer == *reviewer);
    let link = seat.map(|seat| seat.link.as_str()).unwrap_or_default();
    thread(link, approval.asked_at(link))
}
