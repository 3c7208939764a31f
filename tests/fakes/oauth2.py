"""A token endpoint for client credentials, which refuses what RFC 6749 refuses (2.3.1, 3.2, 4.4, 5.2), and an API that takes its tokens."""
import base64
import json
import urllib.parse

from fakes.server import Answer, Refused, Server

CLIENT = "desk & co"  # not the same when it is form-encoded
SECRET = "s3cret:with/odd+chars %"
SCOPES = {"orders.read", "orders.write"}
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuth2(Server):
    def __init__(self):
        super().__init__()
        self.issued, self.revoked, self.expires_in = [], set(), 3600
        self.answer = None  # what it gives out instead
        self.on("POST", "/token", self.token)
        self.on("GET", "/token", lambda request: (405, {"error": "invalid_request"}))
        for method in ("GET", "POST"):
            self.on(method, "/api/orders", self.orders)

    def refuse(self, status, error, description=None, **headers):
        raise Refused(status, {"error": error, **({"error_description": description} if description else {})}, {**NO_STORE, **headers})

    def client_of(self, request):
        """2.3.1: in one place, and not in two."""
        form, head = request.form, request.headers.get("authorization")
        if head and ("client_id" in form or "client_secret" in form):
            self.refuse(400, "invalid_request", "more than one way of authentication")
        if not head:
            return form.get("client_id", [""])[0], form.get("client_secret", [""])[0]
        kind, _, text = head.partition(" ")
        if kind != "Basic":
            self.refuse(401, "invalid_client", **{"WWW-Authenticate": "Basic"})
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        return urllib.parse.unquote_plus(user, errors="strict"), urllib.parse.unquote_plus(password, errors="strict")

    def token(self, request):
        if request.query:
            self.refuse(400, "invalid_request", "parameters belong into the body")
        if request.headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded":
            self.refuse(400, "invalid_request", "not a form")
        if any(len(values) != 1 for values in request.form.values()):
            self.refuse(400, "invalid_request", "a parameter twice")
        if self.client_of(request) != (CLIENT, SECRET):
            self.refuse(401, "invalid_client", "no such client", **{"WWW-Authenticate": "Basic"})
        grant = request.form.get("grant_type")
        if grant is None:
            self.refuse(400, "invalid_request", "grant_type is missing")
        if grant != ["client_credentials"]:
            self.refuse(400, "unsupported_grant_type")
        scope = request.form.get("scope", ["orders.read"])[0]
        if not set(scope.split(" ")) <= SCOPES:
            self.refuse(400, "invalid_scope", f"not known: {scope}")
        with self.lock:
            if self.answer is not None:
                return self.answer
            self.issued.append({"token": f"token-{len(self.issued) + 1}.of~this-run", "scope": scope, "audience": request.form.get("audience")})
            return 200, {"access_token": self.issued[-1]["token"], "token_type": "bearer", "expires_in": self.expires_in, "scope": scope}, NO_STORE

    def orders(self, request):
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.revoked or token not in [one["token"] for one in self.issued]:
            raise Refused(401, {"error": "invalid_token", "token": token}, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        echoed = {"got": request.body.decode(), "you": request.headers["authorization"]}
        return Answer(200, json.dumps(echoed).encode(), {"Content-Type": "application/json", "X-Echo": token})
