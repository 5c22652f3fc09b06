"""An SMTP server that keeps what it is sent: smtp_server.py PORT DIRECTORY SECONDS

Each mail becomes a file of JSON: the envelope's sender and recipients, and the message. The server
takes four mails at a time, and so many seconds for each, whether or not the sender waits for it; that
it has received one is in its log. Addresses that start with "nobody" are refused for good; so are
mails to those that start with "filtered", and the reply quotes their links. Who logs in with the
password "wrong" is refused; nobody has to log in.

A file "reply" in the directory holds one line, a command and a reply such as "RCPT 554 5.7.1 Relay
access denied": as long as it is there, the server answers that command so.
"""

import asyncio
import email
import email.policy
import json
import os
import re
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import MISSING, AuthResult


class Keep:
    def __init__(self, directory, seconds):
        self.directory = directory
        self.seconds = seconds
        self.hands = asyncio.Semaphore(4)
        self.count = 0

    def reply(self, command):
        try:
            with open(os.path.join(self.directory, "reply")) as file:
                to, reply = file.read().strip().split(" ", 1)
                return reply if to == command else None
        except FileNotFoundError:
            return None

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        reply = self.reply("EHLO")
        return [reply] if reply else responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        return self.reply("MAIL") or MISSING

    async def handle_RCPT(self, server, session, envelope, address, options):
        if reply := self.reply("RCPT"):
            return reply
        if address.startswith("nobody"):
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if reply := self.reply("DATA"):
            return reply
        print("has a mail for", *envelope.rcpt_tos, flush=True)
        return await asyncio.shield(self.keep(envelope))

    async def keep(self, envelope):
        async with self.hands:
            await asyncio.sleep(self.seconds)
        if any(address.startswith("filtered") for address in envelope.rcpt_tos):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            text = message.get_body(("plain",)).get_content()
            return f"550 5.2.1 Blocked: {' '.join(re.findall('https?://[^ ]+/a/[^ ]+', text))}".strip()
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


def authenticate(server, session, envelope, mechanism, login):
    return AuthResult(success=login.password != b"wrong", handled=False)


keep = Keep(sys.argv[2], float(sys.argv[3]))
Controller(
    keep, hostname="127.0.0.1", port=int(sys.argv[1]), authenticator=authenticate,
    auth_require_tls=False,
).start()
print("serving", flush=True)
asyncio.new_event_loop().run_forever()
