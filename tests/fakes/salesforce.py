"""Salesforce's REST API, as far as plugins/crm speaks it: OAuth client credentials, contacts with an external id field, SOQL of one table."""
import re
import urllib.parse

from fakes.server import Refused, Server

TOKEN = "00Dxx!session"
SECRET = "salesforce-client-secret"
FIELDS = {"Id", "Email", "FirstName", "LastName", "Phone", "Crm_Key__c", "CreatedDate", "LeadSource"}
ROOT = "/services/data/v62.0"


def refused(status, code, message):
    return Refused(status, [{"message": message, "errorCode": code}])


class Salesforce(Server):
    account = {"vendor": "salesforce", "client_id": "app", "client_secret": {"secret": "SECRET"}, "external_key": "Crm_Key__c"}
    secrets = {"SECRET": SECRET}
    writes, notes_path, code, retried_limit = ROOT + r"/sobjects/Contact$", ROOT + r"/sobjects/Task$", "crm.salesforce.INVALID_FIELD", "REQUEST_LIMIT_EXCEEDED"
    listed, stage, unknown_field = "701x", "Closed Won", "No_Such__c"

    def __init__(self):
        super().__init__()
        self.tokens, self.good = 0, set()
        self.contacts, self.notes, self.members, self.deals = {}, {}, set(), {"900": {"StageName": "New"}}
        self.on("POST", "/services/oauth2/token", self.token)
        for method, path, handler in [
            ("GET", "/query", self.query), ("POST", "/sobjects/Contact", self.create), ("PATCH", "/sobjects/Contact/{id}", self.update),
            ("GET", "/sobjects/Contact/{id}", self.get), ("PATCH", "/sobjects/Contact/{field}/{value}", self.upsert), ("POST", "/sobjects/Task", self.note),
            ("POST", "/sobjects/CampaignMember", self.add), ("PATCH", "/sobjects/Opportunity/{id}", self.move),
        ]:
            self.on(method, ROOT + path, self.signed(handler))

    def token(self, request):
        if request.form != {"grant_type": ["client_credentials"], "client_id": ["app"], "client_secret": [SECRET]}:
            raise Refused(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        with self.lock:
            self.tokens += 1
            self.good.add(f"{TOKEN}-{self.tokens}")
            made = f"{TOKEN}-{self.tokens}"
        return {"access_token": made, "instance_url": self.url, "token_type": "Bearer"}

    def signed(self, handler):
        def answer(request, **parts):
            kind, _, token = request.headers.get("authorization", "").rpartition(" ")
            if kind != "Bearer" or token not in self.good:
                raise refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
            with self.lock:
                return handler(request, **parts)
        return answer

    def check(self, fields, is_new):
        for name in fields:
            if name not in FIELDS - {"Id", "CreatedDate"}:
                raise refused(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type Contact")
        if is_new and "LastName" not in fields:
            raise refused(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]")

    def make(self, fields):
        self.check(fields, True)
        id = f"003{len(self.contacts):015d}"
        self.contacts[id] = dict(fields)
        return id

    def create(self, request):
        return 201, {"id": self.make(request.json), "success": True, "errors": []}

    def update(self, request, id):
        if id not in self.contacts:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        self.check(request.json, False)
        self.contacts[id].update(request.json)
        return 204, None

    def upsert(self, request, field, value):
        if field != "Crm_Key__c":
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        if field in request.json:
            raise refused(400, "INVALID_FIELD", f"The {field} field should not be specified in the sobject data.")
        found = [id for id, one in self.contacts.items() if one.get(field) == value]
        if len(found) > 1:
            return 300, [f"{ROOT}/sobjects/Contact/{id}" for id in found]
        if found:
            self.check(request.json, False)
            self.contacts[found[0]].update(request.json)
            return 200, {"id": found[0], "success": True, "errors": [], "created": False}
        self.check(request.json, True)
        return 201, {"id": self.make({**request.json, field: value}), "success": True, "errors": [], "created": True}

    def get(self, request, id):
        if id not in self.contacts:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        return {"attributes": {"type": "Contact"}, "Id": id, **self.contacts[id]}

    def query(self, request):
        """SELECT a, b FROM x WHERE c = '…' AND d = '…' [ORDER BY …] LIMIT n, read a sign at a time so that a value that was not quoted breaks it."""
        soql = urllib.parse.parse_qs(request.target.partition("?")[2])["q"][0]
        match = re.fullmatch(r"SELECT ([\w, ]+) FROM (\w+) WHERE ((?:\w+ = '(?:[^'\\]|\\['\"\\nrtbf])*'(?: AND )?)+?)(?: ORDER BY CreatedDate, Id)? LIMIT (\d+)", soql)
        if not match:
            raise refused(400, "MALFORMED_QUERY", "unexpected token")
        unescape = lambda text: re.sub(r"\\(.)", lambda one: {"n": "\n", "r": "\r", "t": "\t"}.get(one[1], one[1]), text)
        where = {name: unescape(value) for name, value in re.findall(r"(\w+) = '((?:[^'\\]|\\.)*)'", match[3])}
        table = {"Contact": self.contacts, "Task": {id: {"WhoId": who, "Subject": subject} for id, (who, _, subject) in self.notes.items()}}[match[2]]
        names = match[1].split(", ")
        if match[2] == "Contact" and not set(names) | set(where) <= FIELDS:
            raise refused(400, "INVALID_FIELD", f"No such column '{sorted((set(names) | set(where)) - FIELDS)[0]}' on entity 'Contact'")
        same = lambda a, b: a is not None and a.lower() == b.lower()
        found = [{"attributes": {"type": match[2]}, **{name: id if name == "Id" else one.get(name) for name in names}}
                 for id, one in table.items() if all(same(one.get(name), value) for name, value in where.items())]
        return {"totalSize": len(found), "done": True, "records": found[:int(match[4])]}

    def note(self, request):
        assert set(request.json) == {"WhoId", "Subject", "Description", "Status"} and request.json["Status"] == "Completed", request.json
        id = f"00T{len(self.notes)}"
        self.notes[id] = (request.json["WhoId"], request.json["Description"], request.json["Subject"])
        return 201, {"id": id, "success": True, "errors": []}

    def add(self, request):
        pair = (request.json["CampaignId"], request.json["ContactId"])
        if pair in self.members:
            raise refused(400, "DUPLICATE_VALUE", "Already a campaign member.")
        self.members.add(pair)
        return 201, {"id": "00v1", "success": True, "errors": []}

    def move(self, request, id):
        if id not in self.deals:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        self.deals[id].update(request.json)
        return 204, None

    def stage_of_deal(self):
        return self.deals["900"]["StageName"]
