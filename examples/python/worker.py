"""Runs PurchaseWorkflow and ToolCallWorkflow.

TEMPORAL_ADDRESS and other TEMPORAL_ variables set the connection to Temporal, and JWKS says where the public
keys of outcomes are: the URL of the signaler's /.well-known/jwks.json, or a file. Without it, no tool is run. Where
Countersign encrypts payloads, COUNTERSIGN_PAYLOAD_KEYS_FILE names the same keys: see codec.py.
"""

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

from purchase import PurchaseWorkflow
from tool_call import ToolCallWorkflow


def converter() -> DataConverter:
    if not any(name.startswith("COUNTERSIGN_PAYLOAD_KEYS") for name in os.environ):
        return DataConverter.default
    # It needs a package that nothing else here does.
    from codec import data_converter

    return data_converter()


def activities() -> list:
    if "JWKS" not in os.environ:
        return []
    # They need packages that the workflows do not.
    from tools import Tools
    from verify import public_keys

    folder = Path(os.environ.get("RUNS", "."))
    keys = public_keys(os.environ["JWKS"])
    return [Tools(keys, str(folder / "runs.db"), folder / "refunds.jsonl").run_tool]


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    settings = {"target_host": "localhost:7233"} | ClientConfig.load_client_connect_config()
    client = await Client.connect(**settings, data_converter=converter())
    workflows = [PurchaseWorkflow, ToolCallWorkflow]
    with ThreadPoolExecutor() as threads:
        await Worker(
            client,
            task_queue="purchases",
            workflows=workflows,
            activities=activities(),
            activity_executor=threads,
        ).run()


asyncio.run(main())
