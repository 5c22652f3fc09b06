"""Runs PurchaseWorkflow. TEMPORAL_ADDRESS and other TEMPORAL_ variables set the connection to Temporal."""

import asyncio
import logging

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

from purchase import PurchaseWorkflow


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    settings = {"target_host": "localhost:7233"} | ClientConfig.load_client_connect_config()
    client = await Client.connect(**settings)
    await Worker(client, task_queue="purchases", workflows=[PurchaseWorkflow]).run()


asyncio.run(main())
