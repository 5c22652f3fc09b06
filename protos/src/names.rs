//! Names that the worker, the signaler and callers share.

/// The workflow type of an approval.
pub const WORKFLOW_TYPE: &str = "ApprovalWorkflow";
/// The workflow type that delivers the notices which an approval's end did not wait for.
pub const WORKFLOW_TYPE_NOTICES: &str = "ApprovalNotices";
/// The default task queue.
pub const DEFAULT_TASK_QUEUE: &str = "approvals";
/// Signal of a reviewer: a [`Decision`](crate::v1::Decision) to approve.
pub const SIGNAL_APPROVE: &str = "approve";
/// Signal of a reviewer: a [`Decision`](crate::v1::Decision) to reject.
pub const SIGNAL_REJECT: &str = "reject";
/// Signal of a reviewer: a [`Decision`](crate::v1::Decision) to send it back to the submitter.
pub const SIGNAL_REQUEST_CHANGES: &str = "request_changes";
/// Signal of an operator or the submitter, to replace what is to be decided: a
/// [`Revision`](crate::v1::Revision).
pub const SIGNAL_REVISE: &str = "revise";
/// Signal of an operator, or of the reviewer, to ask somebody else: a
/// [`Reassignment`](crate::v1::Reassignment).
pub const SIGNAL_REASSIGN: &str = "reassign";
/// Signal of an operator, to remind reviewers now: a [`Reminder`](crate::v1::Reminder), or nothing.
pub const SIGNAL_REMIND: &str = "remind";
/// Signal of an operator, to mail reviewers new links in place of theirs: a
/// [`Reissue`](crate::v1::Reissue), or nothing.
pub const SIGNAL_REISSUE: &str = "reissue";
/// Signal of an operator or the submitter, to withdraw the approval: a [`Withdrawal`](crate::v1::Withdrawal), or
/// nothing.
pub const SIGNAL_WITHDRAW: &str = "withdraw";
/// What a reviewer does by [`SIGNAL_REASSIGN`], as what is possible is called in a state.
pub const ACTION_DELEGATE: &str = "delegate";
/// Every signal that an approval takes.
pub const SIGNALS: [&str; 8] = [
    SIGNAL_APPROVE,
    SIGNAL_REJECT,
    SIGNAL_REQUEST_CHANGES,
    SIGNAL_REVISE,
    SIGNAL_REASSIGN,
    SIGNAL_REMIND,
    SIGNAL_REISSUE,
    SIGNAL_WITHDRAW,
];
/// The local activity that makes the plan.
pub const ACTIVITY_VALIDATE: &str = "validate_submission";
/// The local activity that makes the outcome.
pub const ACTIVITY_CONCLUDE: &str = "conclude";
/// The local activity that issues approval IDs. Their hashes are fields named `link` in its marker, and
/// in the input of a run that was continued as new.
pub const ACTIVITY_ISSUE_LINKS: &str = "issue_links";
/// How something was done, in messages: by the link of the reviewer or the submitter, which has signed it.
pub const BY_LINK: &str = "link";
/// How something was done, in messages: by an operator, who has signalled it.
pub const BY_OPERATOR: &str = "operator";
/// The query that answers with [`ApprovalState`](crate::v1::ApprovalState).
pub const QUERY_STATUS: &str = "status";
/// Search attribute (Keyword): the name of a [`Status`](crate::v1::Status).
pub const ATTRIBUTE_STATUS: &str = "ApprovalStatus";
/// Search attribute (KeywordList): the reviewers who have not decided yet.
pub const ATTRIBUTE_REVIEWERS: &str = "ApprovalReviewers";
/// Search attribute (KeywordList): the hashes of all approval IDs issued so far.
pub const ATTRIBUTE_LINKS: &str = "ApprovalLinks";
/// Search attribute (Bool): whether a request to one of them is undeliverable.
pub const ATTRIBUTE_UNDELIVERABLE: &str = "ApprovalUndeliverable";
/// Search attribute (Datetime): when the open stage has to be decided. Unset where no stage is open.
pub const ATTRIBUTE_DEADLINE: &str = "ApprovalDeadline";
/// Failure type: the submission is invalid.
pub const FAILURE_INVALID_SUBMISSION: &str = "InvalidSubmission";
/// Failure type: the workflow was started on a cron schedule, with a retry policy, or from a forged
/// state of an earlier run.
pub const FAILURE_INVALID_START: &str = "InvalidStart";
/// The maximum length of a comment, in characters.
pub const COMMENT_MAX_CHARS: usize = 2_000;
