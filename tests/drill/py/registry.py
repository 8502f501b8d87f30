"""A registry: RDAP over HTTP, and the name server that it feeds: registry.py ADDRESS PORT FOLDER EPOCH.

The folder holds one RDAP document a domain. A domain that has ended at that moment, or is on hold, is out of the DNS,
as long as nobody pays; one in its renewal period is not.
"""

import datetime
import http.server
import json
import os
import socketserver
import struct
import sys
import threading

address, port, folder, epoch = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])


def document(name):
    path = os.path.join(folder, os.path.basename(name.rstrip(".").lower()))
    return open(path, "rb").read() if os.path.isfile(path) else None


def delegated(name):
    text = document(name)
    if text is None:
        return False
    domain = json.loads(text)
    ends = [e["eventDate"] for e in domain["events"] if e["eventAction"] == "expiration"]
    end = datetime.datetime.fromisoformat(ends[0].replace("Z", "+00:00")).timestamp()
    if any("hold" in status for status in domain["status"]):
        return False
    return epoch < end or "auto renew period" in domain["status"]


class Rdap(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = document(self.path.rsplit("/", 1)[-1]) if "/domain/" in self.path else None
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/rdap+json")
        self.end_headers()
        self.wfile.write(body or b"{}")

    def log_message(self, *words):
        """Nobody reads it."""


class Dns(socketserver.BaseRequestHandler):
    def handle(self):
        packet, sock = self.request
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        question = packet[12 : at + 5]
        alive = delegated(".".join(labels[-2:]))
        head = packet[:2] + struct.pack("!HHHHH", 0x8400 if alive else 0x8403, 1, int(alive), 0, 0)
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + bytes([127, 0, 1, 1]) if alive else b""
        sock.sendto(head + question + answer, self.client_address)


dns = socketserver.ThreadingUDPServer((address, port), Dns)
threading.Thread(target=dns.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer((address, port), Rdap).serve_forever()
