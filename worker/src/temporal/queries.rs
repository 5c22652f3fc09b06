//! Searches of Temporal's index for workflows of ours.

use countersign_core::diagnosis::LATE;
use countersign_protos::names::{
    ATTRIBUTE_DEADLINE, ATTRIBUTE_STATUS, ATTRIBUTE_UNDELIVERABLE, WORKFLOW_TYPE,
    WORKFLOW_TYPE_NOTICES,
};
use jiff::{SignedDuration, Timestamp};

/// How long what was undeliverable counts once its approval has closed: for people to see it.
const CLOSED: SignedDuration = SignedDuration::from_hours(24);

/// Searches of one task queue, as of one moment.
pub(crate) struct Queries {
    on_queue: String,
    now: Timestamp,
}

impl Queries {
    pub(crate) fn new(task_queue: &str, now: Timestamp) -> Self {
        Queries { on_queue: format!("TaskQueue = {}", quoted(task_queue)), now }
    }

    /// Approvals that are open.
    pub(crate) fn open(&self) -> String {
        self.running(WORKFLOW_TYPE)
    }

    /// Open approvals that wait for people.
    pub(crate) fn waiting(&self) -> String {
        format!("{} AND {ATTRIBUTE_STATUS} IN ('PENDING', 'CHANGES_REQUESTED')", self.open())
    }

    /// Those that wait beyond their deadline.
    pub(crate) fn overdue(&self) -> String {
        let due = self.before(LATE);
        format!("{} AND {ATTRIBUTE_DEADLINE} < '{due:.0}'", self.waiting())
    }

    /// Open approvals of which a mail is undeliverable.
    pub(crate) fn undeliverable(&self) -> String {
        format!("{} AND {ATTRIBUTE_UNDELIVERABLE} = true", self.open())
    }

    /// The same with notices, and with what has closed within a day.
    pub(crate) fn undeliverable_lately(&self) -> String {
        let closed = self.before(CLOSED);
        format!(
            "WorkflowType IN ('{WORKFLOW_TYPE}', '{WORKFLOW_TYPE_NOTICES}') AND {} \
             AND {ATTRIBUTE_UNDELIVERABLE} = true \
             AND (ExecutionStatus = 'Running' OR CloseTime > '{closed:.0}')",
            self.on_queue
        )
    }

    /// Open approvals that are decided.
    pub(crate) fn decided(&self) -> String {
        let statuses = "('APPROVED', 'REJECTED', 'EXPIRED', 'WITHDRAWN')";
        format!("{} AND {ATTRIBUTE_STATUS} IN {statuses}", self.open())
    }

    /// Workflows that deliver notices.
    pub(crate) fn notices(&self) -> String {
        self.running(WORKFLOW_TYPE_NOTICES)
    }

    fn running(&self, workflow_type: &str) -> String {
        let on_queue = &self.on_queue;
        format!("WorkflowType = '{workflow_type}' AND {on_queue} AND ExecutionStatus = 'Running'")
    }

    fn before(&self, duration: SignedDuration) -> Timestamp {
        self.now.saturating_sub(duration).expect("a duration, not a span of days")
    }
}

/// A string as the index's SQL has it, where a backslash escapes what follows.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_where_it_is_meant_to() {
        for (text, expected) in [
            ("approvals", "'approvals'"),
            ("it's", r"'it\'s'"),
            (r"a\b", r"'a\\b'"),
            (r"a\", r"'a\\'"),
            (r"a\' OR ''='", r"'a\\\' OR \'\'=\''"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn searches_are_for_workflows_of_one_task_queue() {
        let now = "2026-12-01T09:00:00Z".parse().expect("a time");
        let queries = Queries::new("it's", now);
        let open = "WorkflowType = 'ApprovalWorkflow' AND TaskQueue = 'it\\'s' AND ExecutionStatus = 'Running'";
        assert_eq!(queries.open(), open);
        let overdue = format!(
            "{open} AND ApprovalStatus IN ('PENDING', 'CHANGES_REQUESTED') \
             AND ApprovalDeadline < '2026-12-01T08:59:00Z'"
        );
        assert_eq!(queries.overdue(), overdue);
        assert!(queries.notices().starts_with("WorkflowType = 'ApprovalNotices' AND Task"));
        let lately = queries.undeliverable_lately();
        assert!(
            lately.contains("('ApprovalWorkflow', 'ApprovalNotices') AND TaskQueue = 'it\\'s'")
        );
        assert!(lately.ends_with("OR CloseTime > '2026-11-30T09:00:00Z')"), "{lately}");
    }
}
