"""A mail server of few words: greets, offers STARTTLS if it has a certificate, hangs up when told to.

smtp.py ADDRESS PORT [PEM]. It forgets what it takes, and refuses what is for old-team@.
"""

import socketserver
import ssl
import sys

PEM = sys.argv[3] if len(sys.argv) > 3 else None


class Conversation(socketserver.StreamRequestHandler):
    timeout = 10

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()

    def handle(self):
        self.say("220 mail.drill.test ESMTP")
        while line := self.rfile.readline(1024):
            word = line.split()[0].upper() if line.split() else b""
            if word == b"EHLO":
                self.say("250-mail.drill.test")
                if PEM and not isinstance(self.connection, ssl.SSLSocket):
                    self.say("250-STARTTLS")
                self.say("250 8BITMIME")
            elif word == b"HELO":
                self.say("250 mail.drill.test")
            elif word == b"STARTTLS" and PEM:
                self.say("220 go ahead")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(PEM)
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb")
            elif word == b"RCPT":
                gone = b"old-team@" in line.lower()
                self.say("550 5.1.1 nobody of this name works here" if gone else "250 ok")
            elif word in (b"MAIL", b"RSET", b"NOOP"):
                self.say("250 ok")
            elif word == b"DATA":
                self.say("354 go on")
                while (line := self.rfile.readline(65536)) and line.rstrip() != b".":
                    pass
                self.say("250 taken")
            elif word == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("502 not here")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Whoever hangs up in the middle is nobody's concern."""


Server((sys.argv[1], int(sys.argv[2])), Conversation).serve_forever()
