"""The tools of an agent, behind what was approved."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from temporalio import activity
from temporalio.exceptions import ApplicationError

from once import NotApproved, Unfinished, run_once
from tool_call import ToolCall


@dataclass
class Tools:
    # Of the signaler, or printed by `countersign-worker public-key`.
    keys: jwt.PyJWKSet
    # Of the runs that began, and what came of them.
    database: str
    # Where this example pays.
    ledger: Path

    @activity.defn
    def run_tool(self, call: ToolCall, outcome: dict[str, Any]) -> Any:
        tools = {"payments.refund": self.refund}
        try:
            tool = tools[call.tool]
            return run_once(outcome, self.keys, call.tool, call.arguments, tool, self.database)
        except (NotApproved, Unfinished, jwt.PyJWTError, KeyError) as error:
            # No other attempt changes that.
            raise ApplicationError(repr(error), type=type(error).__name__, non_retryable=True) from error

    def refund(self, arguments: dict[str, Any]) -> str:
        with self.ledger.open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(arguments, sort_keys=True) + "\n")
        return f"{arguments['amount']} {arguments['currency']} are on their way"
