"""An SMTP server that keeps what it is sent: smtp_server.py PORT DIRECTORY

Each mail becomes a file of JSON: the envelope's sender and recipients, and the message. Addresses
that start with "nobody" are refused for good.
"""

import asyncio
import json
import os
import sys

from aiosmtpd.controller import Controller


class Keep:
    def __init__(self, directory):
        self.directory = directory
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "message": envelope.content.decode("utf-8"),
        }
        path = os.path.join(self.directory, f"{self.count:04}.json")
        with open(path + ".part", "w") as file:
            json.dump(mail, file)
        os.rename(path + ".part", path)
        return "250 OK"


Controller(Keep(sys.argv[2]), hostname="127.0.0.1", port=int(sys.argv[1])).start()
print("serving", flush=True)
asyncio.new_event_loop().run_forever()
