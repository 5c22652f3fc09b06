//! Which commands a workflow makes: those of the code that planned it.
//!
//! Any worker may replay an open approval, so it has to repeat the commands that earlier code made. Each
//! difference has a name and a number here, and the workflow asks
//! `plan.commands >= commands::WHAT_CHANGED`. The old branch stays for as long as an older approval may be
//! open. This costs no event. `ctx.patched` does not work with local activities in SDK 1.1: if a query ends
//! a workflow task early, a replay reaches the patch before it has read its marker, and takes the old branch.

/// What new plans record. Release 0.4.0 begins with 1. A difference is a constant above this one, which then
/// equals the latest of them.
pub const CURRENT: u32 = 1;

/// Those of plans that do not say.
pub(crate) fn first() -> u32 {
    1
}
