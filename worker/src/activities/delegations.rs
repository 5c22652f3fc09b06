//! Delegations, against the plan and the links.

use temporalio_sdk::activities::ActivityError;

use super::{NOT_GENUINE, refusal};
use crate::{
    approval::EmailAddress,
    leaves::{Leaves, SeatOf},
    recorded::Delegated,
};

/// Checks that the holder of a seat's link wanted this person asked, whom the plan lets them name. Mail goes to this
/// very address.
pub(super) fn check_delegation(
    leaves: Leaves<'_>,
    stage: u32,
    (from, to): (&EmailAddress, &EmailAddress),
    delegated: &Delegated,
) -> Result<(), ActivityError> {
    let Delegated { round, on_behalf_of, instead_of, delegation } = delegated;
    let link = leaves.link(SeatOf {
        stage: stage as usize,
        round: *round,
        reviewer: from,
        on_behalf_of: on_behalf_of.as_ref(),
        instead_of: instead_of.as_ref(),
    });
    let is_theirs = delegation.link == link.hash().as_str()
        && delegation.to.as_str() == to.as_str()
        && leaves.plan.restrictions.may_delegate_to(to)
        && delegation.is_proven(&link.public_key());
    match is_theirs {
        true => Ok(()),
        false => Err(refusal(NOT_GENUINE, format!("{from} has not delegated to {to}"))),
    }
}
