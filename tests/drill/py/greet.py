"""A mail client without TLS: greet.py ADDRESS PORT succeeds if the server greets and answers EHLO."""

import smtplib
import sys

with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=10) as server:
    code, _ = server.ehlo()
    print("EHLO", code)
    sys.exit(0 if code == 250 else 1)
