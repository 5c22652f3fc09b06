//! Submissions as people write them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// An expense report of 125.50 USD that `reviewers` are asked about, in one stage.
pub fn expense(reviewers: &[&str]) -> Value {
    asking(json!({"stages": [{"name": "Review", "reviewers": reviewers}]}))
}

/// The same expense report, under rules of its own.
pub fn asking(approval: Value) -> Value {
    json!({
        "submissionId": "exp-2026-0042",
        "submissionType": "expense_report",
        "submitter": {"name": "Sam Submitter", "email": "sam@example.com", "department": "Sales"},
        "document": {"title": "Train to the fair", "amount": "125.50", "currency": "USD"},
        "approval": approval,
    })
}

/// The same expense report of so much, which does not say who is asked.
pub fn routed(amount: &str) -> Value {
    let mut expense = expense(&[]);
    expense["document"]["amount"] = amount.into();
    expense.as_object_mut().expect("an object").remove("approval");
    expense
}

/// The contract's own example: 15 laptops with their docks for 15,750.00 USD.
pub fn laptops() -> Value {
    json!({
        "submissionId": "eq-2026-0107",
        "submissionType": "equipment_purchase",
        "submitter": {
            "name": "Priya Natarajan",
            "email": "priya@example.com",
            "department": "Engineering",
            "employeeId": "E-1042",
        },
        "document": {
            "title": "15 laptops for the platform team",
            "amount": 15750.00,
            "currency": "USD",
            "category": "hardware",
            "description": "Replaces machines from 2021.",
            "items": [
                {"description": "Laptop, 14 inch, 32 GB", "amount": "14250.00", "date": "2026-11-20"},
                {"description": "USB-C dock", "amount": "1500.00", "date": "2026-11-20"},
            ],
            "attachments": ["s3://purchasing/2026/quote-7781.pdf", "s3://purchasing/2026/budget.xlsx"],
        },
        "submittedAt": "2026-11-24T09:30:00Z",
    })
}

/// Writes a submission to a file of its own in `dir`.
pub fn write(dir: &Path, name: &str, submission: &Value) -> PathBuf {
    let path = dir.join(format!("{name}.json"));
    std::fs::write(&path, submission.to_string()).expect("a writable directory");
    path
}
