//! Routing rules as a company writes them.

/// Added to rules: a submission may say itself who is asked.
pub const MAY_NAME_REVIEWERS: &str = "[submissions]\nmay_name_reviewers = true\n";

/// Small amounts need nobody. Otherwise it is a long way: a deputy, a reminder, an escalation, and a
/// second stage of which two of three are needed.
pub const LONG_WAY: &str = r#"
[[absences]]
reviewer = "lee@example.com"
deputy = "dee@example.com"
from = 2020-01-01
to = 2099-12-31

[[rules]]
name = "Small expenses"
when.amount = { USD = { up_to = 20 } }
decision = "approve"
on_approved = { workflow = "PayExpense", task_queue = "payments" }

[default]
name = "Everything else"

[[default.stages]]
name = "Manager"
reviewers = ["lee@example.com"]
deadline = "4s"
reminders = ["2s"]
escalate = [{ reviewers = ["boss@example.com"], deadline = "1h" }]
on_deadline = "reject"

[[default.stages]]
name = "Finance"
reviewers = ["kim@example.com", "max@example.com", "noa@example.com"]
quorum = 2
deadline = "1h"
on_deadline = "expire"
"#;
