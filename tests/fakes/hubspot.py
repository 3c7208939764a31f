"""HubSpot's CRM API, v3 and (HubSpotDated) by date, as far as plugins/crm speaks it: contacts that are unique by `email` and `crm_key`, notes, lists, deals."""
from fakes.server import Refused, Server

TOKEN = "pat-eu1-token"
PROPERTIES = {"email", "firstname", "lastname", "phone", "company", "crm_key", "lifecyclestage"}
UNIQUE = ("email", "crm_key")


def refused(status, category, message):
    return Refused(status, {"status": "error", "message": message, "correlationId": "c-1", "category": category})


class HubSpot(Server):
    account = {"vendor": "hubspot", "token": {"secret": "TOKEN"}, "external_key": "crm_key", "record_url": "https://crm.example/{id}"}
    secrets = {"TOKEN": TOKEN}
    objects, lists, associations = "/crm/v3/objects", "/crm/v3/lists", "/crm/v4/objects"
    writes, notes_path, code, retried_limit = r"/crm/.*/contacts$", r"/crm/.*/notes$", "crm.hubspot.VALIDATION_ERROR", "RATE_LIMITS"
    listed, stage, unknown_field = "77", "closedwon", "no_such"

    def __init__(self):
        super().__init__()
        self.contacts, self.notes, self.members, self.deals = {}, {}, set(), {"900": {"dealstage": "new"}}
        for method, path, handler in [
            ("POST", self.objects + "/contacts/batch/upsert", self.upsert), ("GET", self.objects + "/contacts/{id}", self.get),
            ("POST", self.objects + "/contacts", self.create), ("PATCH", self.objects + "/contacts/{id}", self.update),
            ("POST", self.objects + "/contacts/search", self.search), ("POST", self.objects + "/notes", self.note),
            ("GET", self.associations + "/contacts/{id}/associations/notes", self.notes_of), ("POST", self.objects + "/notes/batch/read", self.read_notes),
            ("PUT", self.lists + "/{list}/memberships/add", self.add), ("PATCH", self.objects + "/deals/{id}", self.move),
        ]:
            self.on(method, path, self.signed(handler))

    def signed(self, handler):
        def answer(request, **parts):
            if request.headers.get("authorization") != "Bearer " + TOKEN:
                raise refused(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
            with self.lock:
                return handler(request, **parts)
        return answer

    def check(self, properties):
        for name in properties:
            if name not in PROPERTIES:
                raise refused(400, "VALIDATION_ERROR", f'Property values were not valid: Property "{name}" does not exist')

    def by(self, key, value):
        if key not in UNIQUE:
            raise refused(400, "VALIDATION_ERROR", f"{key} is not a unique property")
        return next((id for id, one in self.contacts.items() if one.get(key, "").lower() == value.lower()), None)

    def shown(self, id):
        return {"id": id, "properties": self.contacts[id], "archived": False}

    def upsert(self, request):
        results = []
        for one in request.json["inputs"]:
            assert set(one) <= {"id", "idProperty", "properties", "objectWriteTraceId"}, one
            self.check(one["properties"])
            id = self.by(one["idProperty"], one["id"])
            is_new = id is None
            if is_new:
                id = self.make({one["idProperty"]: one["id"], **one["properties"]})
            elif one["idProperty"] == "email":  # by the address no partial upsert is promised: what is not sent may be gone
                self.contacts[id] = {"email": one["id"]}
            self.contacts[id].update(one["properties"])
            results.append({**self.shown(id), "new": is_new})
        return {"status": "COMPLETE", "results": results}

    def make(self, properties):
        email = properties.get("email")
        if email and self.by("email", email):
            raise refused(409, "CONFLICT", f"Contact already exists. Existing ID: {self.by('email', email)}")
        id = str(101 + len(self.contacts))
        self.contacts[id] = dict(properties)
        return id

    def create(self, request):
        self.check(request.json["properties"])
        return 201, self.shown(self.make(request.json["properties"]))

    def update(self, request, id):
        id = self.known(request, id)
        self.check(request.json["properties"])
        self.contacts[id].update(request.json["properties"])
        return self.shown(id)

    def known(self, request, id):
        key = request.query.get("idProperty")
        id = self.by(key[0], id) if key else id
        if id not in self.contacts:
            raise refused(404, "OBJECT_NOT_FOUND", "Object not found.")
        return id

    def get(self, request, id):
        return self.shown(self.known(request, id))

    def search(self, request):
        [group] = request.json["filterGroups"]
        for one in group["filters"]:
            assert one["operator"] == "EQ" and isinstance(one["value"], str), one
            self.check([one["propertyName"]])
        found = [self.shown(id) for id, contact in self.contacts.items() if all(contact.get(one["propertyName"]) == one["value"] for one in group["filters"])]
        return {"total": len(found), "results": found[:request.json["limit"]]}

    def note(self, request):
        properties, [association] = request.json["properties"], request.json["associations"]
        if "hs_timestamp" not in properties:
            raise refused(400, "VALIDATION_ERROR", "hs_timestamp is required")
        assert association["types"] == [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}], association
        id = str(500 + len(self.notes))
        self.notes[id] = (association["to"]["id"], properties["hs_note_body"])
        return 201, {"id": id, "properties": properties}

    def notes_of(self, request, id):
        return {"results": [{"toObjectId": int(note), "associationTypes": []} for note, (contact, _) in self.notes.items() if contact == id]}

    def read_notes(self, request):
        return {"status": "COMPLETE", "results": [{"id": one["id"], "properties": {"hs_note_body": self.notes[one["id"]][1]}} for one in request.json["inputs"]]}

    def add(self, request, list):
        """Who is on it already is in neither list of the answer."""
        missing = [contact for contact in request.json if contact not in self.contacts]
        new = [contact for contact in request.json if contact not in missing and (list, contact) not in self.members]
        self.members.update((list, contact) for contact in new)
        return {"recordsIdsAdded": new, "recordIdsRemoved": [], "recordIdsMissing": missing}

    def move(self, request, id):
        if id not in self.deals:
            raise refused(404, "OBJECT_NOT_FOUND", "Object not found.")
        self.deals[id].update(request.json["properties"])
        return {"id": id, "properties": self.deals[id]}

    def stage_of_deal(self):
        return self.deals["900"]["dealstage"]


class HubSpotDated(HubSpot):
    account = {**HubSpot.account, "version": "2026-09"}
    objects, lists, associations = "/crm/objects/2026-09", "/crm/lists/2026-09", "/crm/objects/2026-09"
