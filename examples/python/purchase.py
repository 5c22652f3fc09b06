"""A purchase that is ordered once somebody approved it."""

from dataclasses import dataclass, field

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, ChildWorkflowError
from temporalio.workflow import ParentClosePolicy

from approval import ApprovalWorkflow, Outcome, Problem, Status, Submission, Submitter


@dataclass
class Purchase:
    number: str
    title: str
    amount: str
    currency: str
    buyer: Submitter


@dataclass
class Result:
    ordered: bool
    outcome: Outcome | None = None
    problems: list[Problem] = field(default_factory=list)


@workflow.defn
class PurchaseWorkflow:
    @workflow.run
    async def run(self, purchase: Purchase) -> Result:
        try:
            outcome = await workflow.execute_child_workflow(
                ApprovalWorkflow.run,
                submission(purchase),
                id=f"approval-{workflow.info().workflow_id}",
                task_queue="approvals",
                # A reset starts this workflow again while its approval is still open. By default
                # that one's ID would be refused.
                id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING,
                # However this workflow ends, nobody is left with something to decide: a pending
                # approval is withdrawn. By default it would be terminated, and nobody told.
                parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
            )
        except ChildWorkflowError as error:
            match error.cause:
                case ApplicationError(type="InvalidSubmission", details=[problems]):
                    return Result(ordered=False, problems=problems)
            raise
        if outcome.status is not Status.APPROVED:
            workflow.logger.info("Not ordered: %s", outcome.reason)
            return Result(ordered=False, outcome=outcome)
        for stage in outcome.stages:
            for decision in stage.decisions:
                workflow.logger.info("%s: %s", decision.reviewer, decision.verdict)
        # Here the activities follow that order it. The first one verifies outcome.jws, as verify.py does:
        # others in the namespace may have written this result.
        return Result(ordered=True, outcome=outcome)


def submission(purchase: Purchase) -> Submission:
    return {
        "submissionId": purchase.number,
        "submissionType": "purchase",
        "submitter": purchase.buyer,
        "document": {
            "title": purchase.title,
            "amount": purchase.amount,
            "currency": purchase.currency,
        },
    }
