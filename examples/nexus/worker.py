"""Runs OrderWorkflow: PYTHONPATH=../python python worker.py

TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and other TEMPORAL_ variables set the connection to Temporal, and JWKS says
where the public keys of outcomes are: the URL of the signaler's /.well-known/jwks.json, or a file. Where Countersign
encrypts payloads, COUNTERSIGN_PAYLOAD_KEYS_FILE names the same keys: see codec.py.
Needs: pip install temporalio 'pyjwt[crypto]' rfc8785
"""

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jwt
from temporalio import activity
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from codec import data_converter
from order import OrderWorkflow
from verify import public_keys, verify


@dataclass
class Outcomes:
    keys: jwt.PyJWKSet

    @activity.defn
    def check_outcome(self, outcome: dict[str, Any], submission_id: str, endpoint: str) -> None:
        """Fails unless this was approved, and requested by this endpoint."""
        try:
            claims = verify(outcome, self.keys)
        except (jwt.PyJWTError, KeyError) as error:
            raise ApplicationError(repr(error), type="NotGenuine", non_retryable=True) from error
        is_ours = claims["workflowId"].startswith(f"nexus.{endpoint}.")
        if not is_ours or (claims["submissionId"], claims["status"]) != (submission_id, "APPROVED"):
            raise ApplicationError(f"of something else: {claims}", type="NotGenuine", non_retryable=True)


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    settings = {"target_host": "localhost:7233"} | ClientConfig.load_client_connect_config()
    client = await Client.connect(**settings, data_converter=data_converter())
    outcomes = Outcomes(public_keys(os.environ["JWKS"]))
    with ThreadPoolExecutor() as threads:
        await Worker(
            client,
            task_queue="orders",
            workflows=[OrderWorkflow],
            activities=[outcomes.check_outcome],
            activity_executor=threads,
        ).run()


asyncio.run(main())
