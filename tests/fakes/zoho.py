"""Zoho CRM's API v6, as far as plugins/crm speaks it: tokens for a refresh token, the upsert by duplicate_check_fields, search by criteria."""
import re

from fakes.server import Refused, Server

TOKEN = "1000.access"
REFRESH = "1000.refresh"
SECRET = "zoho-client-secret"
FIELDS = {"Email", "First_Name", "Last_Name", "Phone", "Crm_Key", "Lead_Source"}


def refused(status, code, message, **details):
    return Refused(status, {"code": code, "details": details, "message": message, "status": "error"})


class Zoho(Server):
    secrets = {"SECRET": SECRET, "REFRESH": REFRESH}
    writes, notes_path, code, retried_limit = r"/crm/v6/Contacts/upsert", r"/crm/v6/Contacts/[^/]+/Notes", "crm.zoho.INVALID_DATA", "TOO_MANY_REQUESTS"
    listed, stage, unknown_field = "nurture", "Closed Won", "No_Such"

    @property
    def account(self):
        return {"vendor": "zoho", "client_id": "app", "client_secret": {"secret": "SECRET"}, "refresh_token": {"secret": "REFRESH"}, "external_key": "Crm_Key",
                "login_url": self.url, "record_url": "https://crm.example/{id}"}

    def __init__(self):
        super().__init__()
        self.tokens, self.good = 0, set()
        self.contacts, self.notes, self.members, self.deals = {}, {}, set(), {"900": {"Stage": "New"}}
        self.on("POST", "/oauth/v2/token", self.token)
        for method, path, handler in [
            ("POST", "/Contacts/upsert", self.upsert), ("GET", "/Contacts/search", self.search), ("GET", "/Contacts/{id}", self.get),
            ("GET", "/Contacts/{id}/Notes", self.notes_of), ("POST", "/Contacts/{id}/Notes", self.note),
            ("POST", "/Contacts/{id}/actions/add_tags", self.add), ("PUT", "/Deals/{id}", self.move),
        ]:
            self.on(method, "/crm/v6" + path, self.signed(handler))

    def token(self, request):
        """A refusal has status 200."""
        if request.form != {"grant_type": ["refresh_token"], "client_id": ["app"], "client_secret": [SECRET], "refresh_token": [REFRESH]}:
            return {"error": "invalid_client"}
        with self.lock:
            self.tokens += 1
            self.good.add(f"{TOKEN}-{self.tokens}")
            made = f"{TOKEN}-{self.tokens}"
        return {"access_token": made, "api_domain": self.url, "token_type": "Bearer", "expires_in": 3600}

    def signed(self, handler):
        def answer(request, **parts):
            kind, _, token = request.headers.get("authorization", "").rpartition(" ")
            if kind != "Zoho-oauthtoken" or token not in self.good:
                raise refused(401, "INVALID_TOKEN", "invalid oauth token")
            with self.lock:
                return handler(request, **parts)
        return answer

    def done(self, status, id, **more):
        return status, {"data": [{"code": "SUCCESS", "details": {"id": id}, "message": "record done", "status": "success", **more}]}

    def upsert(self, request):
        [record], [key] = request.json["data"], request.json["duplicate_check_fields"]
        for name in record:
            if name not in FIELDS:
                return 200, {"data": [{"code": "INVALID_DATA", "details": {"api_name": name}, "message": "invalid data", "status": "error"}]}
        if key not in ("Email", "Crm_Key"):
            raise refused(400, "INVALID_DATA", "not a unique field", api_name="duplicate_check_fields")
        found = next((id for id, one in self.contacts.items() if one.get(key) == record.get(key)), None)
        if found:
            self.contacts[found].update(record)
            return self.done(200, found, action="update", duplicate_field=key)
        if "Last_Name" not in record:
            return 202, {"data": [{"code": "MANDATORY_NOT_FOUND", "details": {"api_name": "Last_Name"}, "message": "required field not found", "status": "error"}]}
        id = str(4150868000000000001 + len(self.contacts))
        self.contacts[id] = dict(record)
        return self.done(201, id, action="insert", duplicate_field=None)

    def search(self, request):
        [criteria] = request.query["criteria"]
        pairs = re.findall(r"\((\w+):equals:((?:[^\\(),]|\\.)*)\)", criteria)
        if not pairs or len(re.sub(r"\((\w+):equals:((?:[^\\(),]|\\.)*)\)", "", criteria)) not in (0, len("()and")):
            raise refused(400, "INVALID_QUERY", "Invalid query formed")
        wanted = {name: re.sub(r"\\(.)", r"\1", value) for name, value in pairs}
        found = [{"id": id, **one} for id, one in self.contacts.items() if all(str(one.get(name)).lower() == value.lower() for name, value in wanted.items())]
        return {"data": found, "info": {"count": len(found), "more_records": False}} if found else (204, None)

    def get(self, request, id):
        return {"data": [{"id": id, **self.contacts[id]}]} if id in self.contacts else (204, None)

    def notes_of(self, request, id):
        if not request.query.get("fields"):
            raise refused(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="fields")
        found = [{"id": note, "Note_Title": title} for note, (contact, _, title) in self.notes.items() if contact == id]
        return {"data": found, "info": {"more_records": False}} if found else (204, None)

    def note(self, request, id):
        [note] = request.json["data"]
        self.notes[str(800 + len(self.notes))] = (id, note["Note_Content"], note["Note_Title"])
        return self.done(201, str(799 + len(self.notes)))

    def add(self, request, id):
        self.members.update((tag["name"], id) for tag in request.json["tags"])
        return self.done(200, id)

    def move(self, request, id):
        if id not in self.deals:
            return 200, {"data": [{"code": "INVALID_DATA", "details": {"api_name": "id"}, "message": "the id given seems to be invalid", "status": "error"}]}
        self.deals[id].update(request.json["data"][0])
        return self.done(200, id)

    def stage_of_deal(self):
        return self.deals["900"]["Stage"]
