"""An order that is placed once somebody approved it, in another namespace than the approvals'."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import nexusrpc
from temporalio import workflow
from temporalio.exceptions import ApplicationError, NexusOperationError

from approval import Problem, Submission
from purchase import Purchase, submission


@nexusrpc.service
class Approvals:
    """Countersign's workers serve it; this is its signature, by which calls are typed."""

    request: nexusrpc.Operation[Submission, dict[str, Any]]
    # Its input is the token of a request.
    status: nexusrpc.Operation[str, dict[str, Any]]


@dataclass
class Result:
    ordered: bool
    outcome: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)


@workflow.defn
class OrderWorkflow:
    @workflow.init
    def __init__(self, purchase: Purchase) -> None:
        # Each caller has an endpoint of its own: here, it is called as the caller's namespace.
        self.endpoint = workflow.info().namespace
        self.approvals = workflow.create_nexus_client(service=Approvals, endpoint=self.endpoint)
        self.token: str | None = None

    @workflow.run
    async def run(self, purchase: Purchase) -> Result:
        asked = submission(purchase)
        try:
            request = await self.approvals.start_operation(Approvals.request, asked)
            self.token = request.operation_token
            # Where this workflow is cancelled, so is the request, and this is the outcome WITHDRAWN.
            outcome = await request
        except NexusOperationError as error:
            match error.cause:
                case ApplicationError(type="InvalidSubmission", details=[problems]):
                    return Result(ordered=False, problems=problems)
            raise
        if outcome["status"] != "APPROVED":
            return Result(ordered=False, outcome=outcome)
        # Others in this namespace can write what came back. Only the signature says what was decided.
        await workflow.execute_activity(
            "check_outcome",
            args=[outcome, asked["submissionId"], self.endpoint],
            start_to_close_timeout=timedelta(seconds=30),
        )
        # Here the activities follow that order it.
        return Result(ordered=True, outcome=outcome)

    @workflow.update
    async def status(self) -> dict[str, Any]:
        """Where the approval stands."""
        await workflow.wait_condition(lambda: self.token is not None)
        return await self.approvals.execute_operation(Approvals.status, self.token)
