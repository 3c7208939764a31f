"""Contentful's Content Management API, as far as plugins/cms speaks it: entries with locales, versions, publishing."""
from fakes.server import Refused, Server

TOKEN = "CFPAT-token"
ROOT = "/spaces/sp1/environments/master/entries"
FIELDS = {"title", "body", "slug", "summary"}


def refused(status, id, message, **more):
    return Refused(status, {"sys": {"type": "Error", "id": id}, "message": message, **more})


class Contentful(Server):
    site = {"vendor": "contentful", "token": {"secret": "TOKEN"}, "space": "sp1", "collection": "article"}
    secrets = {"TOKEN": TOKEN}
    creates, publishes = ("PUT", ROOT + r"/\w+$"), ("PUT", ROOT + r"/\w+/published$")
    code, refused_field = "cms.contentful.ValidationFailed", "no_such"
    drafts_what_is_public = True

    def __init__(self):
        super().__init__()
        self.entries, self.published = {}, {}
        for method, path, handler in [("GET", "", self.find), ("GET", "/{id}", self.get), ("PUT", "/{id}", self.put), ("PUT", "/{id}/published", self.publish)]:
            self.on(method, ROOT + path, self.signed(handler))

    def signed(self, handler):
        def answer(request, **parts):
            if request.headers.get("authorization") != "Bearer " + TOKEN:
                raise refused(401, "AccessTokenInvalid", "The access token you sent could not be found or is invalid.")
            with self.lock:
                return handler(request, **parts)
        return answer

    def entry(self, id):
        if id not in self.entries:
            raise refused(404, "NotFound", "The resource could not be found.")
        return self.entries[id]

    def find(self, request):
        assert request.query["content_type"] == ["article"], request.query
        items = [entry for entry in self.entries.values() if entry["fields"].get("slug", {}).get("en-US") == request.query["fields.slug"][0]]
        return {"sys": {"type": "Array"}, "total": len(items), "items": items}

    def get(self, request, id):
        return self.entry(id)

    def check_version(self, request, entry):
        if request.headers.get("x-contentful-version") != str(entry["sys"]["version"]):
            raise refused(409, "VersionMismatch", "")

    def put(self, request, id):
        assert request.headers["content-type"] == "application/vnd.contentful.management.v1+json"
        for name, locales in request.json["fields"].items():
            assert isinstance(locales, dict), "every field has locales"
            if name not in FIELDS:
                raise refused(422, "ValidationFailed", "Validation error", details={"errors": [{"name": "unknown", "details": f'No field with id "{name}" found.'}]})
        if id in self.entries:
            self.check_version(request, self.entries[id])
            entry = self.entries[id]
            entry["sys"]["version"] += 1
        else:
            if request.headers.get("x-contentful-content-type") != "article":
                raise refused(422, "UnknownContentType", "The content type could not be found")
            entry = self.entries[id] = {"sys": {"id": id, "type": "Entry", "version": 1}}
        entry["fields"] = request.json["fields"]  # all of them: what is not sent is gone
        entry["metadata"] = request.json.get("metadata", {"tags": [], "concepts": []})  # and that as well
        return entry

    def publish(self, request, id):
        entry = self.entry(id)
        self.check_version(request, entry)
        self.published[id] = {name: dict(locales) for name, locales in entry["fields"].items()}
        entry["sys"].update(publishedVersion=entry["sys"]["version"], version=entry["sys"]["version"] + 1)
        return entry

    # ---- what tests ask of every CMS ----
    def public(self, slug):
        return next(((fields["title"]["en-US"], fields["body"]["en-US"]) for fields in self.published.values() if fields["slug"]["en-US"] == slug), None)

    def edit(self, id, body):
        entry = self.entries[id]
        entry["fields"]["body"]["en-US"] = body
        self.published[id] = {name: dict(locales) for name, locales in entry["fields"].items()}
        entry["sys"].update(publishedVersion=entry["sys"]["version"] + 1, version=entry["sys"]["version"] + 2)

    def count(self):
        return len(self.entries)
