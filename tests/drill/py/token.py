"""An API and the tokens it takes: token.py mint FROM UNTIL, token.py serve ADDRESS PORT.

JSON Web Tokens with HMAC, by hand, because nothing else is needed to say 401 to one that has ended.
"""

import base64
import hashlib
import hmac
import http.server
import json
import sys
import time

SECRET = b"a secret of the drill, of no use elsewhere"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decode(data):
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))


def sign(text):
    return encode(hmac.new(SECRET, text, hashlib.sha256).digest())


def mint(start, end):
    head = encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = {"iss": "https://id.drill.test", "sub": "ci-runner", "aud": "api", "iat": start, "nbf": start, "exp": end}
    text = head + b"." + encode(json.dumps(claims).encode())
    return (text + b"." + sign(text)).decode()


def accepts(token):
    try:
        text, _, signature = token.encode().rpartition(b".")
        claims = json.loads(decode(text.split(b".")[1]))
    except (ValueError, IndexError):
        return False
    return hmac.compare_digest(signature, sign(text)) and claims["nbf"] <= time.time() < claims["exp"]


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        word, _, token = self.headers.get("Authorization", "").partition(" ")
        self.send_response(200 if word == "Bearer" and accepts(token) else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        """Nobody reads it."""


if sys.argv[1] == "mint":
    print(mint(int(sys.argv[2]), int(sys.argv[3])))
else:
    http.server.ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Api).serve_forever()
