"""Whom RabbitMQ asks (rabbitmq_auth_backend_http) who may do what: a server of HTTP on a port of its own, in a thread.

The user name is JWT for everybody, so identity goes by the client id: at the login it must be the token's, and from then on RabbitMQ tells
it with each question about a topic. Failure: what is not understood is answered with "deny".
"""

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

RESERVED = "cashewd"  # handlers' client ids begin so


def identity_of(token, secret):
    """("handler", name) or ("user", id) of a token that is good; None."""
    signed, _, signature = token.rpartition(".")
    expected = base64.urlsafe_b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()).decode().rstrip("=")
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return None
    body = signed.partition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    if claims.get("exp", 0) < time.time():
        return None
    return ("handler", claims["handler"]["name"]) if "handler" in claims else ("user", claims["user_id"])


def is_handlers(client_id):
    return client_id == RESERVED or client_id.startswith(RESERVED + "-")


def may_log_in(asked, secret):
    identity, client_id = identity_of(asked.get("password", ""), secret), asked.get("client_id", "")
    if not identity:
        return False
    if identity[0] == "handler":
        return is_handlers(client_id)
    return not is_handlers(client_id) and client_id.partition("/")[0] == identity[1]


def may_use(asked):
    """A topic as RabbitMQ writes it: with . for /."""
    client_id = asked.get("variable_map.client_id", "")
    return is_handlers(client_id) or asked.get("routing_key", "").startswith(client_id.partition("/")[0] + ".")


class Authorities:
    def __init__(self, secret):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                asked = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
                try:
                    allowed = {"/user": lambda: may_log_in(asked, secret), "/topic": lambda: may_use(asked)}.get(self.path, lambda: True)()
                except (ValueError, KeyError, TypeError):
                    allowed = False
                answer = b"allow" if allowed else b"deny"
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a broker that is killed resets its connections
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
