//! The names by which the worker, the signaler and everybody outside call the same things.

/// The workflow type.
pub const WORKFLOW_TYPE: &str = "ApprovalWorkflow";
/// The task queue, unless a setting says otherwise.
pub const DEFAULT_TASK_QUEUE: &str = "approvals";
/// The signal by which a reviewer approves.
pub const SIGNAL_APPROVE: &str = "approve";
/// The signal by which a reviewer rejects.
pub const SIGNAL_REJECT: &str = "reject";
/// The signal by which an operator has somebody else asked: a
/// [`Reassignment`](crate::v1::Reassignment).
pub const SIGNAL_REASSIGN: &str = "reassign";
/// The signal by which an operator has reviewers reminded now: a
/// [`Reminder`](crate::v1::Reminder), or nothing.
pub const SIGNAL_REMIND: &str = "remind";
/// The signal by which an operator calls an approval off: a [`Withdrawal`](crate::v1::Withdrawal),
/// or nothing.
pub const SIGNAL_WITHDRAW: &str = "withdraw";
/// The local activity that issues approval IDs. Its marker in a history has their hashes, each as a
/// field `link`, and so has what a run leaves to the next one.
pub const ACTIVITY_ISSUE_LINKS: &str = "issue_links";
/// The query that answers with [`ApprovalState`](crate::v1::ApprovalState).
pub const QUERY_STATUS: &str = "status";
/// Search attribute (Keyword): the name of a [`Status`](crate::v1::Status).
pub const ATTRIBUTE_STATUS: &str = "ApprovalStatus";
/// Search attribute (KeywordList): the reviewers who are still asked.
pub const ATTRIBUTE_REVIEWERS: &str = "ApprovalReviewers";
/// Search attribute (KeywordList): the hashes of all approval IDs issued so far.
pub const ATTRIBUTE_LINKS: &str = "ApprovalLinks";
/// Search attribute (Bool): whether a request to somebody who is still asked was refused for good.
pub const ATTRIBUTE_UNDELIVERABLE: &str = "ApprovalUndeliverable";
/// The failure type of a workflow whose submission cannot be used.
pub const FAILURE_INVALID_SUBMISSION: &str = "InvalidSubmission";
/// The failure type of a workflow that cannot run as it was started: on a cron schedule, with a retry
/// policy, or from what looks like an earlier run and is not.
pub const FAILURE_INVALID_START: &str = "InvalidStart";
/// The longest comment on a decision, in characters.
pub const COMMENT_MAX_CHARS: usize = 2_000;
