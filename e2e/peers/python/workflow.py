import asyncio
from datetime import timedelta
from typing import Optional

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import process_decision, request_approval, validate_submission
    from flow import Decided, Decision, Outcome, Submission

ATTEMPT = timedelta(seconds=30)


@workflow.defn
class ApprovalWorkflow:
    def __init__(self) -> None:
        self.decision: Optional[Decision] = None
        self.state = "PENDING"

    @workflow.run
    async def run(self, submission: Submission) -> Outcome:
        submission = await workflow.execute_activity(
            validate_submission, submission, start_to_close_timeout=ATTEMPT
        )
        await workflow.execute_activity(request_approval, submission, start_to_close_timeout=ATTEMPT)
        try:
            await workflow.wait_condition(lambda: self.decision is not None, timeout=timedelta(hours=1))
        except asyncio.TimeoutError:
            pass
        outcome = await workflow.execute_activity(
            process_decision, Decided(submission, self.decision), start_to_close_timeout=ATTEMPT
        )
        self.state = outcome.status
        return outcome

    @workflow.signal
    def decide(self, decision: Decision) -> None:
        if self.decision is None:
            self.decision = decision

    @workflow.query
    def status(self) -> str:
        return self.state
