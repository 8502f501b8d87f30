"""A mail client without TLS: greet.py ADDRESS PORT [RECIPIENT] succeeds if the server greets and takes the recipient."""

import smtplib
import sys

with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=10) as server:
    code, _ = server.ehlo()
    print("EHLO", code)
    if len(sys.argv) > 3:
        server.mail("drill@drill.test")
        code, text = server.rcpt(sys.argv[3])
        print("RCPT", code, text.decode())
    sys.exit(0 if code == 250 else 1)
