"""Checks an outcome: python verify.py OUTCOME.json JWKS

OUTCOME.json is a workflow's result. JWKS is a URL of the signaler, such as
https://approve.example.com/.well-known/jwks.json, or a file with what `countersign-worker public-key`
has printed. Needs: pip install 'pyjwt[crypto]' rfc8785
"""

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import rfc8785

DECIDED = ("submissionId", "submissionType", "submitter", "document", "fields", "version")


def verify(outcome: dict[str, Any], keys: jwt.PyJWKSet) -> dict[str, Any]:
    """What was signed: act on this. Raises jwt.PyJWTError or KeyError if the outcome is not genuine."""
    key = keys[jwt.get_unverified_header(outcome["jws"])["kid"]]
    claims = jwt.decode(outcome["jws"], key, algorithms=["EdDSA"])
    if digest(outcome) != claims["digest"]:
        raise jwt.InvalidTokenError("something else was decided")
    return claims


def digest(submission: dict[str, Any]) -> str:
    """The digest of what is decided; of an outcome, too."""
    decided = {name: submission[name] for name in DECIDED if name in submission}
    json_bytes = rfc8785.dumps(decided)
    return "v1:" + sha256(b"countersign submission v1\n" + json_bytes).hexdigest()


def public_keys(source: str) -> jwt.PyJWKSet:
    if source.startswith(("https://", "http://")):
        return jwt.PyJWKClient(source).get_jwk_set()
    return jwt.PyJWKSet.from_json(Path(source).read_text(encoding="utf-8"))


if __name__ == "__main__":
    _, file, source = sys.argv
    outcome = json.loads(Path(file).read_text(encoding="utf-8"))
    try:
        print(json.dumps(verify(outcome, public_keys(source))))
    except (jwt.PyJWTError, KeyError) as error:
        sys.exit(f"Do not act on {file}: {error!r}")
