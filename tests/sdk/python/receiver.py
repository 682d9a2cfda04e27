"""A receiver of webhooks as others write it: the reference library of Standard Webhooks verifies each message.

    receiver.py SECRET [STATUS…]

Answers with these statuses, one after the other, then with 200. Prints a line of JSON with its port, then one for each message.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.argv[1])
statuses = [int(status) for status in sys.argv[2:]]
# Messages come on several connections at once. Each takes its status and tells its line as one step: `print` writes a
# line and its end apart.
one_at_a_time = threading.Lock()


def say(what):
    print(json.dumps(what), flush=True)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            webhook.verify(body, dict(self.headers.items()))
            verified = True
        except WebhookVerificationError:
            verified = False
        with one_at_a_time:
            status = statuses.pop(0) if statuses else 200
            say({
                "id": self.headers["webhook-id"],
                "verified": verified,
                "status": status,
                "path": self.path,
                "signatures": self.headers["webhook-signature"].split(" "),
                "body": body.decode(),
            })
        self.send_response(status)
        if status == 302:
            self.send_header("location", f"http://127.0.0.1:{server.server_port}/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
say({"port": server.server_port})
server.serve_forever()
