"""Runs ApprovalWorkflow on the task queue in TASK_QUEUE, with the SDK's own defaults."""

import asyncio
import os

from temporalio.client import Client
from temporalio.worker import Worker

from activities import process_decision, request_approval, validate_submission
from workflow import ApprovalWorkflow


async def main() -> None:
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    worker = Worker(
        client,
        task_queue=os.environ.get("TASK_QUEUE", "approvals"),
        workflows=[ApprovalWorkflow],
        activities=[validate_submission, request_approval, process_decision],
    )
    await worker.run()


asyncio.run(main())
