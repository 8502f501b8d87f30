"""A peer that connected once, does not look at dates, and keeps the session: session.py ADDRESS PORT.

It asks for a page every few seconds over one connection, and ends when the server does.
"""

import http.client
import ssl
import sys
import time

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
connection = http.client.HTTPSConnection(sys.argv[1], int(sys.argv[2]), context=context, timeout=10)
while True:
    connection.request("GET", "/")
    connection.getresponse().read()
    time.sleep(3)
