//! What Temporal has room for, and how long people have.

use jiff::SignedDuration;

/// How many people one approval can ask in all: Temporal holds 2 KiB a search attribute, and this many
/// hashes fit into `ApprovalLinks`.
pub const MAX_SEATS: usize = 80;

/// How many bytes the addresses of a stage can take, each with its quotes and comma: Temporal holds
/// 2 KiB a search attribute, and this much fits into `ApprovalReviewers`.
pub const MAX_REVIEWER_BYTES: usize = 1_900;

/// The longest name or ID that every Temporal takes, in bytes. Its own `limit.maxIDLength` is 1,000 by
/// default, but its SQL stores hold 255 characters, and refuse a longer one for ever.
pub const MAX_NAME_BYTES: usize = 255;

/// How long a stage waits unless it says otherwise.
pub const DEFAULT_DEADLINE: SignedDuration = SignedDuration::from_hours(7 * 24);
