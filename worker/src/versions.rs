//! Which commands a workflow makes: those of the code that planned it.
//!
//! An open approval is replayed by whichever worker goes on with it, so a worker repeats the commands
//! that the code before it made. Where they differ, the difference has a name and a number here, and the
//! workflow asks `plan.version >= versions::WHAT_CHANGED`; what an older plan gets stands in the other
//! branch for as long as such an approval may be open. This costs no event. `ctx.patched` does not go
//! with local activities in SDK 1.1: where a query ends a workflow task early, a replay passes by before it
//! has read the patch's marker, and takes the old branch.

/// What a worker records in the plans that it makes. Release 0.4.0 begins with 1; a difference is a
/// constant above this one, and this one then equals the latest of them.
pub(crate) const CURRENT: u32 = 1;
