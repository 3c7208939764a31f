"""Strapi's REST API, as far as plugins/cms speaks it: generation 5 with a draft beside what is public, generation 4 with one or the other."""
import re

from fakes.server import Refused, Server

TOKEN = "strapi-token"
FIELDS = {"title", "body", "slug", "summary"}


def refused(status, name, message):
    return Refused(status, {"data": None, "error": {"status": status, "name": name, "message": message, "details": {}}})


class Strapi(Server):
    secrets = {"TOKEN": TOKEN}
    generation = 5
    code, refused_field = "cms.strapi.ValidationError", "no_such"
    drafts_what_is_public = True
    creates, publishes = ("POST", r"/api/articles$"), ("PUT", r"/api/articles/\w+$")

    @property
    def site(self):
        return {"vendor": "strapi", "token": {"secret": "TOKEN"}, "collection": "articles", "generation": self.generation}

    def __init__(self):
        super().__init__()
        self.drafts, self.published, self.clock = {}, {}, 0
        for method, path, handler in [("GET", "", self.find), ("POST", "", self.create), ("GET", "/{id}", self.get), ("PUT", "/{id}", self.update)]:
            self.on(method, "/api/articles" + path, self.signed(handler))

    def signed(self, handler):
        def answer(request, **parts):
            if request.headers.get("authorization") != "Bearer " + TOKEN:
                raise refused(401, "UnauthorizedError", "Missing or invalid credentials")
            with self.lock:
                return handler(request, **parts)
        return answer

    def now(self):
        self.clock += 1
        return f"2026-01-01T00:{self.clock // 60:02}:{self.clock % 60:02}.000Z"

    def check(self, data):
        for name in data:
            if name not in FIELDS:
                raise refused(400, "ValidationError", f"Invalid key {name}")

    def status(self, request):
        """Without it a request is about what is public, a write too."""
        return request.query.get("status", ["published"])[0]

    def table(self, request):
        return self.drafts if self.status(request) == "draft" else self.published

    def shown(self, id, fields):
        return {"id": 1, "documentId": id, **fields}

    def find(self, request):
        [slug] = request.query["filters[slug][$eq]"]
        return {"data": [self.shown(id, fields) for id, fields in self.table(request).items() if fields["slug"] == slug], "meta": {}}

    def get(self, request, id):
        if id not in self.table(request):
            raise refused(404, "NotFoundError", "Not Found")
        return {"data": self.shown(id, self.table(request)[id])}

    def create(self, request):
        self.check(request.json["data"])
        id = f"doc{len(self.drafts) + 1}"
        self.drafts[id] = {"title": None, "body": None, **request.json["data"]}
        return self.write(request, id)

    def write(self, request, id):
        self.drafts[id].update(updatedAt=self.now(), publishedAt=None)
        if self.status(request) == "published":
            self.published[id] = {**self.drafts[id], "updatedAt": self.now(), "publishedAt": self.now()}
        return {"data": self.shown(id, self.table(request)[id])}

    def update(self, request, id):
        if id not in self.drafts:
            raise refused(404, "NotFoundError", "Not Found")
        self.check(request.json["data"])
        self.drafts[id].update(request.json["data"])
        return self.write(request, id)

    # ---- what tests ask of every CMS ----
    def public(self, slug):
        return next(((fields["title"], fields["body"]) for fields in self.published.values() if fields["slug"] == slug), None)

    def edit(self, id, body):
        self.drafts[id].update(body=body, updatedAt=self.now())
        self.published[id] = {**self.drafts[id], "publishedAt": self.now()}

    def count(self):
        return len(self.drafts)


class Strapi4(Strapi):
    generation = 4
    drafts_what_is_public = False

    def shown(self, id, fields):
        return {"id": int(id), "attributes": fields}

    def find(self, request):
        assert request.query["publicationState"] == ["preview"], request.query
        return {"data": [self.shown(id, fields) for id, fields in self.drafts.items() if fields["slug"] == request.query["filters[slug][$eq]"][0]], "meta": {}}

    def get(self, request, id):
        if id not in self.drafts:
            raise refused(404, "NotFoundError", "Not Found")
        return {"data": self.shown(id, self.drafts[id])}

    def create(self, request):
        assert "publishedAt" in request.json["data"], "it would be public at once"
        return self.take(request, str(len(self.drafts) + 1), {"title": None, "body": None})

    def update(self, request, id):
        self.get(request, id)
        return self.take(request, id, self.drafts[id])

    def take(self, request, id, fields):
        data = dict(request.json["data"])
        published_at = data.pop("publishedAt", fields.get("publishedAt"))
        if published_at is not None and not re.fullmatch(r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d+)?Z", published_at):
            raise refused(400, "ValidationError", "publishedAt must be a date")
        self.check(data)
        self.drafts[id] = {**fields, **data, "publishedAt": published_at, "updatedAt": self.now()}
        return {"data": self.shown(id, self.drafts[id])}

    def public(self, slug):
        return next(((fields["title"], fields["body"]) for fields in self.drafts.values() if fields["slug"] == slug and fields["publishedAt"]), None)

    def edit(self, id, body):
        self.drafts[id].update(body=body, updatedAt=self.now())
