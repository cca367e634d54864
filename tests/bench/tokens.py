"""Users' tokens, for tests that need more of them than there is time to start cashew-token for."""

import base64
import hashlib
import hmac
import json


def token(secret, user, ends_at):
    """A user's token (RFC 7519) that ends in that second."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    text = part(b'{"alg":"HS256"}') + b"." + part(json.dumps({"user_id": user, "exp": ends_at}).encode())
    return (text + b"." + part(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()
