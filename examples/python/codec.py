"""Encrypts payloads as Countersign does, and decrypts what it has encrypted.

The form is that of Temporal's own samples: AES-256-GCM, the nonce before the ciphertext, the key's ID in the metadata.
COUNTERSIGN_PAYLOAD_KEYS_FILE names the file with the keys, or COUNTERSIGN_PAYLOAD_KEYS has them: ID:KEY on each line,
where the first one encrypts and all decrypt; `none` in place of the first one encrypts nothing yet.
"""

import dataclasses
import os
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

NONCE = 12


class EncryptionCodec(PayloadCodec):
    def __init__(self, keys: str) -> None:
        lines = [line.strip() for line in keys.replace(",", "\n").splitlines() if line.strip()]
        self.encrypts = lines[0] != "none"
        pairs = [line.split(":", 1) for line in lines if line != "none"]
        self.keys = {key_id.strip().encode(): AESGCM(b64decode(key)) for key_id, key in pairs}

    async def encode(self, payloads: Iterable[Payload]) -> list[Payload]:
        return [self.encrypt(payload) if self.encrypts else payload for payload in payloads]

    async def decode(self, payloads: Iterable[Payload]) -> list[Payload]:
        return [self.decrypt(payload) for payload in payloads]

    def encrypt(self, payload: Payload) -> Payload:
        key_id, key = next(iter(self.keys.items()))
        nonce = os.urandom(NONCE)
        return Payload(
            metadata={"encoding": b"binary/encrypted", "encryption-key-id": key_id},
            data=nonce + key.encrypt(nonce, payload.SerializeToString(), None),
        )

    def decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != b"binary/encrypted":
            return payload
        key_id = payload.metadata.get("encryption-key-id", b"")
        if key_id not in self.keys:
            raise ValueError(f"encrypted with the key {key_id.decode()}, which is not here")
        nonce, encrypted = payload.data[:NONCE], payload.data[NONCE:]
        return Payload.FromString(self.keys[key_id].decrypt(nonce, encrypted, None))


def given_keys() -> str | None:
    if path := os.environ.get("COUNTERSIGN_PAYLOAD_KEYS_FILE"):
        return Path(path).read_text()
    return os.environ.get("COUNTERSIGN_PAYLOAD_KEYS")


def data_converter() -> DataConverter:
    """For clients and workers: with the keys of the environment, or without encryption if it has none."""
    keys = given_keys()
    if not keys:
        return DataConverter.default
    return dataclasses.replace(
        DataConverter.default,
        payload_codec=EncryptionCodec(keys),
        # What failures say is encrypted, too.
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
