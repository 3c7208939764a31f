"""Pipedrive's API v2 (notes: v1), as far as plugins/crm speaks it: persons that nothing makes unique, and a search."""
from fakes.server import Refused, Server

TOKEN = "pipedrive-token"
KEY, OTHER = "a" * 40, "b" * 40  # how an account's own fields are called
DEAL_FIELDS = {"title", "owner_id", "person_id", "org_id", "pipeline_id", "stage_id", "value", "currency", "is_deleted", "is_archived", "archive_time", "status", "probability",
               "lost_reason", "visible_to", "close_time", "won_time", "lost_time", "expected_close_date", "label_ids", "custom_fields"}
FIELDS = {"name", "owner_id", "org_id", "add_time", "update_time", "emails", "phones", "visible_to", "label_ids", "marketing_status", "custom_fields"}


def refused(status, code, message):
    return Refused(status, {"success": False, "error": message, "code": code})


class Pipedrive(Server):
    account = {"vendor": "pipedrive", "token": {"secret": "TOKEN"}, "external_key": KEY}
    secrets = {"TOKEN": TOKEN}
    writes, notes_path, code, retried_limit = r"/api/v2/persons$", r"/api/v1/notes$", "crm.pipedrive.ERR_SCHEMA_VALIDATION_FAILED", "429"
    listed, stage, unknown_field = 5, 12, "no_such"

    def __init__(self):
        super().__init__()
        self.contacts, self.notes, self.members, self.deals, self.organizations = {}, {}, set(), {"900": {"stage_id": 1}}, {}
        for method, path, handler in [
            ("GET", "/api/v2/persons/search", self.search), ("POST", "/api/v2/persons", self.create), ("PATCH", "/api/v2/persons/{id}", self.update),
            ("GET", "/api/v2/persons/{id}", self.get), ("GET", "/api/v2/organizations/search", self.search_organizations),
            ("POST", "/api/v2/organizations", self.create_organization), ("GET", "/api/v1/notes", self.notes_of), ("POST", "/api/v1/notes", self.note),
            ("PATCH", "/api/v2/deals/{id}", self.move),
        ]:
            self.on(method, path, self.signed(handler))

    def signed(self, handler):
        def answer(request, **parts):
            if request.headers.get("x-api-token") != TOKEN:
                raise refused(401, "ERR_UNAUTHORIZED", "unauthorized access")
            with self.lock:
                said = handler(request, **parts)
                return (said[0], {"success": True, "data": said[1], **(said[2] if len(said) > 2 else {})})
        return answer

    def check(self, fields):
        for name in fields:
            if name not in FIELDS:
                raise refused(400, "ERR_SCHEMA_VALIDATION_FAILED", f"Parameter validation failed: {name} is not allowed")
        for name in fields.get("custom_fields", {}):
            if name not in (KEY, OTHER):
                raise refused(400, "ERR_SCHEMA_VALIDATION_FAILED", f"Parameter validation failed: custom_fields.{name}")
        for one in fields.get("emails", []) + fields.get("phones", []):
            assert set(one) <= {"value", "primary", "label"} and isinstance(one["value"], str), one
        if "org_id" in fields and fields["org_id"] not in self.organizations:
            raise refused(400, "ERR_BAD_REQUEST", "organization not found")

    def search(self, request):
        [term], [field], [exact] = request.query["term"], request.query["fields"], request.query["exact_match"]
        assert exact == "true" and field in ("email", "custom_fields"), request.query
        items = []
        for id, one in self.contacts.items():
            emails, custom = [mail["value"] for mail in one.get("emails", [])], [str(value) for value in one.get("custom_fields", {}).values()]
            if term.lower() in [value.lower() for value in (emails if field == "email" else custom)]:
                items.append({"result_score": 1, "item": {"id": int(id), "type": "person", "name": one["name"], "emails": emails, "custom_fields": custom}})
        return 200, {"items": items}

    def create(self, request):
        self.check(request.json)
        if not request.json.get("name"):
            raise refused(400, "ERR_SCHEMA_VALIDATION_FAILED", "Parameter validation failed: name is required")
        id = str(11 + len(self.contacts))
        self.contacts[id] = dict(request.json)
        return self.get(request, id)

    def update(self, request, id):
        self.get(request, id)
        self.check(request.json)
        own = {**self.contacts[id].get("custom_fields", {}), **request.json.get("custom_fields", {})}
        self.contacts[id].update(request.json, **({"custom_fields": own} if own else {}))
        if "label_ids" in request.json:
            self.members.update((label, id) for label in request.json["label_ids"])
        return self.get(request, id)

    def get(self, request, id):
        if id not in self.contacts:
            raise refused(404, "ERR_NOT_FOUND", "Person not found")
        first, _, last = self.contacts[id]["name"].partition(" ")
        return 200, {"id": int(id), "label_ids": [], "first_name": first, "last_name": last or None, **self.contacts[id]}

    def search_organizations(self, request):
        found = [{"result_score": 1, "item": {"id": id, "type": "organization", "name": name}} for id, name in self.organizations.items()
                 if name.lower() == request.query["term"][0].lower()]
        return 200, {"items": found}

    def create_organization(self, request):
        self.organizations[301 + len(self.organizations)] = request.json["name"]
        return 200, {"id": 300 + len(self.organizations), "name": request.json["name"]}

    def notes_of(self, request):
        """Two a page, so that there are pages."""
        start = int(request.query["start"][0])
        all = [{"id": int(id), "content": text} for id, (person, text) in self.notes.items() if person == request.query["person_id"][0]]
        more = {"additional_data": {"pagination": {"start": start, "limit": 2, "more_items_in_collection": len(all) > start + 2, "next_start": start + 2}}}
        return 200, all[start:start + 2] or None, more

    def note(self, request):
        if not isinstance(request.json.get("person_id"), int):
            raise refused(400, "ERR_BAD_REQUEST", "person_id must be a number")
        self.notes[str(701 + len(self.notes))] = (str(request.json["person_id"]), request.json["content"])
        return 201, {"id": 700 + len(self.notes)}

    def move(self, request, id):
        if id not in self.deals:
            raise refused(404, "ERR_NOT_FOUND", "Deal not found")
        for name in request.json:
            if name not in DEAL_FIELDS:
                raise refused(400, "ERR_SCHEMA_VALIDATION_FAILED", f"Parameter validation failed: {name} is not allowed")
        if set(request.json.get("custom_fields", {})) - {KEY, OTHER}:
            raise refused(400, "ERR_SCHEMA_VALIDATION_FAILED", "Parameter validation failed: custom_fields")
        self.deals[id].update(request.json)
        return 200, {"id": int(id), **self.deals[id]}

    def stage_of_deal(self):
        return self.deals["900"]["stage_id"]
