"""Ghost's Admin API v5, as far as plugins/cms speaks it: tokens that are signed by the key, updated_at against collisions."""
import base64
import hashlib
import hmac
import json
import time

from fakes.server import Refused, Server

KEY_ID, KEY = "6489c3c3f4b1c20001a1b2c3", "00ff" * 16


def refused(status, type, message, code=None, context=None):
    return Refused(status, {"errors": [{"message": message, "context": context, "type": type, "code": code, "id": "1"}]})


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Ghost(Server):
    site = {"vendor": "ghost", "key": {"secret": "KEY"}}
    secrets = {"KEY": f"{KEY_ID}:{KEY}"}
    creates, publishes = ("POST", r"/ghost/api/admin/posts/$"), ("PUT", r"/ghost/api/admin/posts/\w+/$")
    code, refused_field = "cms.ghost.ValidationError", "no_such"
    drafts_what_is_public = False

    def __init__(self):
        super().__init__()
        self.posts, self.clock = {}, 0
        for method, path, handler in [("GET", "/posts/slug/{slug}/", self.by_slug), ("GET", "/posts/{id}/", self.get), ("POST", "/posts/", self.create), ("PUT", "/posts/{id}/", self.update)]:
            self.on(method, "/ghost/api/admin" + path, self.signed(handler))

    def signed(self, handler):
        def answer(request, **parts):
            self.check_token(request)
            with self.lock:
                return handler(request, **parts)
        return answer

    def check_token(self, request):
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        head, claims, mac = token.split(".")
        header, body = json.loads(decoded(head)), json.loads(decoded(claims))
        right = hmac.new(bytes.fromhex(KEY), f"{head}.{claims}".encode(), hashlib.sha256).digest()
        if scheme != "Ghost" or "=" in token or header.get("kid") != KEY_ID or decoded(mac) != right:
            raise refused(401, "UnauthorizedError", "Invalid token", "INVALID_JWT")
        if header != {"alg": "HS256", "kid": KEY_ID, "typ": "JWT"} or body["aud"] != "/admin/" or body["exp"] - body["iat"] > 300 or abs(body["iat"] - time.time()) > 60:
            raise refused(401, "UnauthorizedError", "Invalid token: jwt audience or age", "INVALID_JWT")

    def now(self):
        self.clock += 1
        return f"2026-01-01T00:{self.clock // 60:02}:{self.clock % 60:02}.000Z"

    def shown(self, request, post):
        """The text is told in the formats that are asked for, and as Ghost renders it."""
        out = {name: value for name, value in post.items() if name != "html"}
        return {"posts": [{**out, "html": post["html"].replace("</p><p>", "</p>\n<p>")} if request.query.get("formats") == ["html"] else out]}

    def take(self, request, post, fields):
        for name in fields:
            if name not in ("title", "html", "status", "slug", "updated_at", "custom_excerpt"):
                raise refused(422, "ValidationError", "Validation error, cannot save post.", context=f"Unknown field {name}")
        if "html" in fields and request.query.get("source") != ["html"]:
            fields = {name: value for name, value in fields.items() if name != "html"}  # ignored without ?source=html
        post.update(fields)
        post["updated_at"] = self.now()
        post["url"] = f"{self.url}/{post['slug']}/"

    def create(self, request):
        [fields] = request.json["posts"]
        if not fields.get("title"):
            raise refused(422, "ValidationError", "Validation error, cannot save post.", context="title is required")
        id = f"{len(self.posts) + 1:024x}"
        post = {"id": id, "html": "", "status": "draft"}
        self.take(request, post, fields)
        self.posts[id] = post
        return 201, self.shown(request, post)

    def entry(self, id):
        if id not in self.posts:
            raise refused(404, "NotFoundError", "Resource not found error, cannot read post.")
        return self.posts[id]

    def get(self, request, id):
        return self.shown(request, self.entry(id))

    def by_slug(self, request, slug):
        return self.get(request, next((id for id, post in self.posts.items() if post["slug"] == slug), ""))

    def update(self, request, id):
        [fields] = request.json["posts"]
        if "updated_at" not in fields:
            raise refused(422, "ValidationError", "Validation failed for updated_at")
        if fields["updated_at"] != self.entry(id)["updated_at"]:
            raise refused(409, "UpdateCollisionError", "Saving failed! Someone else is editing this post.", "UPDATE_COLLISION")
        self.take(request, self.entry(id), fields)
        return self.shown(request, self.entry(id))

    # ---- what tests ask of every CMS ----
    def public(self, slug):
        return next(((post["title"], post["html"]) for post in self.posts.values() if post["slug"] == slug and post["status"] == "published"), None)

    def edit(self, id, body):
        self.posts[id].update(html=body, updated_at=self.now())

    def count(self):
        return len(self.posts)
