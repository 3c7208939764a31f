"""The Web API of Dynamics 365 (Dataverse), as far as plugins/crm speaks it: tokens of Entra, PATCH as upsert by id or alternate key, $filter."""
import re
import uuid

from fakes.server import Refused, Server

TOKEN = "eyJ.access"
SECRET = "entra-client-secret"
FIELDS = {"emailaddress1", "firstname", "lastname", "telephone1", "crm_key", "jobtitle"}
LIST, DEAL = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def refused(status, code, message):
    return Refused(status, {"error": {"code": code, "message": message}})


class Dynamics(Server):
    secrets = {"SECRET": SECRET}
    writes, notes_path, code, retried_limit = r"/api/data/v9.2/contacts\(", r"/api/data/v9.2/annotations\(", "crm.dynamics.0x80048d19", "0x80072322"
    listed, stage, unknown_field, deal = LIST, "Close", "no_such", DEAL

    @property
    def account(self):
        return {"vendor": "dynamics", "client_id": "app", "client_secret": {"secret": "SECRET"}, "tenant": "contoso", "external_key": "crm_key", "login_url": self.url}

    def __init__(self):
        super().__init__()
        self.tokens, self.good = 0, set()
        self.contacts, self.notes, self.members, self.deals = {}, {}, set(), {DEAL: {"stepname": "1-Qualify"}}
        self.on("POST", "/contoso/oauth2/v2.0/token", self.token)
        for method, path, handler in [("GET", "/contacts", self.list), ("PATCH", "/{row}", self.patch), ("GET", "/{row}", self.get), ("POST", "/AddListMembersList", self.add)]:
            self.on(method, "/api/data/v9.2" + path, self.signed(handler))

    def token(self, request):
        wanted = {"grant_type": ["client_credentials"], "client_id": ["app"], "client_secret": [SECRET], "scope": [self.url + "/.default"]}
        if request.form != wanted:
            raise Refused(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
        with self.lock:
            self.tokens += 1
            self.good.add(f"{TOKEN}-{self.tokens}")
            made = f"{TOKEN}-{self.tokens}"
        return {"access_token": made, "token_type": "Bearer", "expires_in": 3599}

    def signed(self, handler):
        def answer(request, **parts):
            kind, _, token = request.headers.get("authorization", "").rpartition(" ")
            if kind != "Bearer" or token not in self.good:
                raise Refused(401)
            with self.lock:
                return handler(request, **parts)
        return answer

    def check(self, fields):
        for name in fields:
            if name not in FIELDS:
                raise refused(400, "0x80048d19", f"Error identified in Payload provided by the user for Entity :'contacts', property '{name}' does not exist")

    def row(self, text):
        """contacts(ID) or contacts(KEY='VALUE') → (table, id or None, key, value)"""
        match = re.fullmatch(r"(\w+)\((?:([0-9a-f-]{36})|(\w+)='((?:[^']|'')*)')\)", text)
        if not match:
            raise refused(400, "0x80060888", "Bad Request - Error in query syntax.")
        table, id, key, value = match.groups()
        if id:
            uuid.UUID(id)
            return table, id, None, None
        if key != "crm_key":
            raise refused(400, "0x80060888", f"The specified key {key} is no alternate key")
        value = value.replace("''", "'")
        return table, next((id for id, one in self.contacts.items() if one.get(key) == value), None), key, value

    def patch(self, request, row):
        table, id, key, value = self.row(row)
        rows = {"contacts": self.contacts, "annotations": self.notes, "opportunities": self.deals}[table]
        is_new = id not in rows
        if is_new and request.headers.get("if-match") == "*":
            raise refused(404, "0x80040217", "Entity does not exist")
        if table == "contacts":
            self.check(request.json)
            if key and key in request.json:
                raise refused(400, "0x80060888", "key attributes must not stand in the body")
        id = id or str(uuid.uuid5(uuid.NAMESPACE_URL, value))
        if table == "annotations":
            rows[id] = (re.fullmatch(r"/contacts\((.*)\)", request.json["objectid_contact@odata.bind"])[1], request.json["notetext"])
        else:
            rows.setdefault(id, {key: value} if key else {}).update(request.json)
        if "return=representation" not in request.headers.get("prefer", ""):
            return 204, None
        return 201 if is_new else 200, {request.query["$select"][0]: id}

    def get(self, request, row):
        _, id, _, _ = self.row(row)
        if id not in self.contacts:
            raise refused(404, "0x80040217", "Entity 'Contact' With Id = " + id + " Does Not Exist")
        return {"contactid": id, **self.contacts[id]}

    def list(self, request):
        [condition] = request.query["$filter"]
        match = re.fullmatch(r"(?:(\w+) eq '((?:[^']|'')*)'(?: and )?)+", condition)
        if not match:
            raise refused(400, "0x80060888", "Syntax error in the $filter")
        wanted = {name: value.replace("''", "'") for name, value in re.findall(r"(\w+) eq '((?:[^']|'')*)'", condition)}
        self.check(wanted)
        found = [{"contactid": id, **one} for id, one in self.contacts.items() if all(str(one.get(name)).lower() == value.lower() for name, value in wanted.items())]
        return {"value": found[:int(request.query["$top"][0])]}

    def add(self, request):
        assert request.json["List"]["@odata.type"] == "Microsoft.Dynamics.CRM.list"
        for member in request.json["Members"]:
            assert member["@odata.type"] == "Microsoft.Dynamics.CRM.contact"
            self.members.add((request.json["List"]["listid"], member["contactid"]))
        return 204, None

    def stage_of_deal(self):
        return self.deals[DEAL]["stepname"]
