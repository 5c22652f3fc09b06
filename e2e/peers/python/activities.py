"""Each activity ends where one with a mail server would call it."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from flow import Decided, Outcome, Submission


@activity.defn
async def validate_submission(submission: Submission) -> Submission:
    problems = []
    if not submission["submissionId"]:
        problems.append("submissionId is empty")
    if "@" not in submission["submitter"]["email"]:
        problems.append("submitter.email is not an address")
    if not submission["document"]["title"]:
        problems.append("document.title is empty")
    if not submission["document"]["amount"] > 0:
        problems.append("document.amount is not positive")
    if problems:
        raise ApplicationError("; ".join(problems), type="InvalidSubmission", non_retryable=True)
    return submission


@activity.defn
async def request_approval(submission: Submission) -> str:
    submitter, document = submission["submitter"], submission["document"]
    items = [f"{item['date']} {item['description']}: {item['amount']}" for item in document["items"]]
    return "\n".join(
        [
            f"Subject: Please decide: {document['title']}",
            "",
            f"{submitter['name']} submitted {document['title']}: {document['amount']} {document['currency']}",
            document["description"],
            *items,
            *document["attachments"],
        ]
    )


@activity.defn
async def process_decision(decided: Decided) -> Outcome:
    submission, decision = decided.submission, decided.decision
    if decision is None:
        return Outcome(submission["submissionId"], "EXPIRED", "", "")
    status = "APPROVED" if decision.verdict == "approve" else "REJECTED"
    return Outcome(submission["submissionId"], status, decision.reviewer, decision.comment)
