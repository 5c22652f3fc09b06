"""Does what was approved: exactly that, and once, from however many processes it is tried.

Needs: pip install 'pyjwt[crypto]' rfc8785
"""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from typing import Any

import jwt
import rfc8785

from verify import verify

# Numbers beyond it are not the same in every program (RFC 7493).
MAX_NUMBER = 2**53 - 1


class NotApproved(Exception):
    """It was not approved, or something else was. Nothing was done."""


class Unfinished(Exception):
    """It was begun before and has no result: it is being done, or somebody has to look what became of it.

    If it had no effect, delete its row to allow another try.
    """


def run_once(
    outcome: dict[str, Any],
    keys: jwt.PyJWKSet,
    name: str,
    arguments: Any,
    action: Callable[[Any], Any],
    database: str,
) -> Any:
    """Calls `action` with the arguments, and returns its result: of the one time that this was done.

    Raises NotApproved and Unfinished, and whatever `verify` raises for an outcome that is not genuine.
    """
    claims = verify(outcome, keys)
    call = canonical(name, arguments)
    if claims["status"] != "APPROVED" or claims.get("actionDigest") != sha256(call).hexdigest():
        raise NotApproved(name)
    key = claims["executionKey"]
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as runs:
        runs.execute("CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, result TEXT)")
        # Taken before the effect: whoever dies in between leaves a row, and not a second effect.
        if runs.execute("INSERT OR IGNORE INTO runs (key) VALUES (?)", (key,)).rowcount:
            # With what was hashed, whatever the object that was passed in is by now.
            result = json.dumps(action(json.loads(call).get("arguments")))
            runs.execute("UPDATE runs SET result = ? WHERE key = ?", (result, key))
        (result,) = runs.execute("SELECT result FROM runs WHERE key = ?", (key,)).fetchone()
    if result is None:
        raise Unfinished(key)
    return json.loads(result)


def canonical(name: str, arguments: Any) -> bytes:
    """What is hashed. Raises ValueError for what is not the same in every program."""
    call = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
    json_bytes = rfc8785.dumps(call)
    json.loads(json_bytes, parse_int=portable, parse_float=portable)
    return json_bytes


def portable(number: str) -> None:
    if abs(float(number)) > MAX_NUMBER:
        raise ValueError(f"{number} is not the same in every program")
