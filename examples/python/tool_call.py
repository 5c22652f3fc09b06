"""A tool call that an agent wants to make: it is made once, after somebody approved exactly this."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.workflow import ParentClosePolicy


@dataclass
class ToolCall:
    number: str
    title: str
    tool: str
    arguments: Any
    reason: str
    onBehalfOf: str
    risk: str = "high"


@workflow.defn
class ToolCallWorkflow:
    @workflow.run
    async def run(self, call: ToolCall) -> Any:
        outcome = await workflow.execute_child_workflow(
            "ApprovalWorkflow",
            submission(call),
            id=f"approval-{workflow.info().workflow_id}",
            task_queue="approvals",
            id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING,
            parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
        )
        if outcome["status"] != "APPROVED":
            return {"done": False, "why": outcome.get("reason", "")}
        # The activity verifies that this was approved, and does it once, however often Temporal starts it.
        result = await workflow.execute_activity(
            "run_tool",
            args=[call, outcome],
            start_to_close_timeout=timedelta(minutes=5),
        )
        return {"done": True, "result": result}


def submission(call: ToolCall) -> dict[str, Any]:
    return {
        "submissionId": call.number,
        "submissionType": "tool_call",
        "submitter": {"name": "Support agent", "email": "support-agent@example.com"},
        "document": {
            "title": call.title,
            "action": {
                "name": call.tool,
                "arguments": call.arguments,
                "risk": call.risk,
                "reason": call.reason,
                "onBehalfOf": call.onBehalfOf,
            },
        },
    }
