"""A receiver of webhooks that verifies as Standard Webhooks 1.0 says, by its own means."""
import base64
import hashlib
import hmac
import time

from fakes.server import Refused, Server


def make_secret(seed: str) -> str:
    return "whsec_" + base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


class Receiver(Server):
    def __init__(self, secret: str):
        super().__init__()
        self.secret, self.seen = secret, []  # (id, body) of what was good
        self.on("POST", "/hooks", self.take)

    def take(self, request):
        id, seconds = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        key = base64.b64decode(self.secret.removeprefix("whsec_"), validate=True)
        right = base64.b64encode(hmac.new(key, f"{id}.{seconds}.".encode() + request.body, hashlib.sha256).digest()).decode()
        given = [part.partition(",") for part in request.headers["webhook-signature"].split(" ")]
        if "." in id or abs(int(seconds) - time.time()) > 300 or not any(version == "v1" and mac == right for version, _, mac in given):
            raise Refused(401, {"error": "no signature that fits"})
        with self.lock:
            self.seen.append((id, request.json))
        return 204, None
