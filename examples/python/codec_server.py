"""Has Temporal's Web UI and command line show what is encrypted: a codec server for this machine.

    COUNTERSIGN_PAYLOAD_KEYS_FILE=payload.keys python codec_server.py [PORT [ORIGIN]]

It listens on the loopback interface alone and asks nobody who they are: whoever reaches it reads everything. Pages of
ORIGIN may ask it, by default those of the development server's Web UI, http://localhost:8233.
"""

import asyncio
import sys
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from codec import EncryptionCodec, given_keys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8081
ORIGIN = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:8233"
KEYS = given_keys()
if not KEYS:
    sys.exit("codec_server.py: set COUNTERSIGN_PAYLOAD_KEYS_FILE")
CODEC = EncryptionCodec(KEYS)


async def shown(payloads: Iterable[Payload]) -> list[Payload]:
    """Decrypts what can be. The rest stays as it is: one signal that makes no sense would hide a whole history."""

    def decrypted(payload: Payload) -> Payload:
        try:
            return CODEC.decrypt(payload)
        except Exception as error:
            # Its text may have what is in the payload.
            print(f"not decrypted: {type(error).__name__}", file=sys.stderr)
            return payload

    return [decrypted(payload) for payload in payloads]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_OPTIONS(self) -> None:
        self.answer(204)

    def do_POST(self) -> None:
        coders = {"/encode": CODEC.encode, "/decode": shown}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        code = next((code for path, code in coders.items() if self.path.endswith(path)), None)
        if code is None:
            return self.answer(404)
        try:
            payloads = json_format.Parse(body, Payloads()).payloads
        except (json_format.ParseError, UnicodeDecodeError):
            return self.answer(400)
        coded = Payloads(payloads=asyncio.run(code(payloads)))
        self.answer(200, json_format.MessageToJson(coded).encode())

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if self.headers.get("Origin") == ORIGIN:
            self.send_header("Access-Control-Allow-Origin", ORIGIN)
            self.send_header("Access-Control-Allow-Methods", "POST")
            self.send_header("Access-Control-Allow-Headers", "content-type,x-namespace,authorization")
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
