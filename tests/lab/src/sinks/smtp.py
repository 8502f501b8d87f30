"""An SMTP server for tests: port, mode, folder with fullchain.pem and key.pem, folder for mails, user, password."""

import asyncio
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, mode, tls, mails, user, password = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(f"{tls}/fullchain.pem", f"{tls}/key.pem")


def authenticate(server, session, envelope, mechanism, data):
    known = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=known, handled=known)


class Handler:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("greylisted@"):
            return "451 4.7.1 Greylisted, come back later"
        if address.startswith("unknown@"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        Handler.count += 1
        path = f"{mails}/{Handler.count:04}.eml"
        with open(path + ".new", "wb") as file:
            file.write(f"{envelope.mail_from}\n{' '.join(envelope.rcpt_tos)}\n".encode())
            file.write(envelope.content)
        os.rename(path + ".new", path)
        return "250 2.0.0 Taken"


def server():
    secure = mode != "plain"
    return SMTP(
        Handler(),
        hostname="srv.test",
        tls_context=context if mode == "starttls" else None,
        require_starttls=mode == "starttls",
        authenticator=authenticate,
        auth_required=secure,
        auth_require_tls=mode == "starttls",
        enable_SMTPUTF8=False,
    )


async def main():
    loop = asyncio.get_running_loop()
    direct = context if mode == "smtps" else None
    listener = await loop.create_server(server, "127.0.0.1", int(port), ssl=direct)
    await listener.serve_forever()


asyncio.run(main())
