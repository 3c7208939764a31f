"""plugins/crm against fakes of its vendors: one vocabulary, one contact whatever is repeated, and what the vendors refuse."""
import json
import time

import pytest
import steps
from conftest import CONFIG, wait_for
from fakes.dynamics import DEAL, Dynamics
from fakes.hubspot import HubSpot, HubSpotDated
from fakes.pipedrive import OTHER, Pipedrive
from fakes.salesforce import Salesforce
from fakes.zoho import Zoho

VENDORS = [HubSpot, HubSpotDated, Salesforce, Pipedrive, Zoho, Dynamics]
ADA = {"email": "o'brien+x@acme.example", "first_name": "Ada", "last_name": "O'Brien", "phone": "+49 30 1"}
ID = "${{ steps.s1.id }}"  # what the first step has given


class Desk(steps.Desk):
    """An instance with these vendors as its accounts."""
    plugin = "crm"

    def __init__(self, engine, *vendors, names=()):
        accounts = [{"url": vendor.url, **vendor.account, **({"name": names[at]} if names else {})} for at, vendor in enumerate(vendors)]
        super().__init__(engine, vendors[0], {"accounts": accounts})


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.__name__.lower())
def desk(request, make_engine):
    with request.param() as vendor:
        yield Desk(make_engine(), vendor)


def test_a_contact_is_made_once_and_then_changed(desk):
    first, second, found, nobody, got = desk.outputs(
        ("upsert", ADA), ("upsert", {**ADA, "phone": "+49 30 2"}), ("find", {"email": ADA["email"]}), ("find", {"email": "nobody@acme.example"}), ("get", {"id": ID}))
    assert first["created"] is True and first["id"] in first["url"] and list(desk.vendor.contacts) == [first["id"]]
    assert (second["id"], second["created"]) == (first["id"], False)
    assert (found["found"], found["id"], len(found["records"])) == (True, first["id"], 1)
    assert nobody == {"found": False, "records": []}
    for record in (found["records"][0], got):
        assert (record["id"], record["email"], record["phone"]) == (first["id"], ADA["email"], "+49 30 2") and record["fields"], record


def test_what_is_not_said_of_a_contact_stays_as_it_is(desk):
    first, second, got = desk.outputs(("upsert", ADA), ("upsert", {"email": ADA["email"], "phone": "+49 30 2"}), ("get", {"id": ID}))
    assert (second["id"], second["created"]) == (first["id"], False)
    name = next(iter(desk.vendor.contacts.values())).get("name")  # Pipedrive's names are one
    assert name == "Ada O'Brien" or (got["first_name"], got["last_name"]) == ("Ada", "O'Brien"), got


def test_an_external_id_goes_before_the_address(desk):
    key = "k(1),'x'\\"
    first, second, found = desk.outputs(
        ("upsert", {"external_id": key, **ADA}), ("upsert", {"external_id": key, **ADA, "email": "new@acme.example"}), ("find", {"external_id": key}))
    assert (second["id"], second["created"], found["id"]) == (first["id"], False, first["id"])
    assert list(desk.vendor.contacts) == [first["id"]] and "new@acme.example" in json.dumps(desk.vendor.contacts)


@pytest.mark.parametrize("fault", ["an answer of 500", "a cut connection"])
def test_what_was_done_and_not_answered_is_not_done_twice(desk, fault):
    method = "PATCH" if isinstance(desk.vendor, Dynamics) else "POST"
    for path in (desk.vendor.writes, desk.vendor.notes_path):
        if fault == "a cut connection":
            desk.vendor.cut(after=-1, path=path, method=method)
        else:
            desk.vendor.fail(500, {"message": "try again"}, path=path, method=method, done=True)
    contact, note = desk.ends(("upsert", ADA), ("note", {"contact": ID, "text": "Called."}), attempts=3)
    assert (contact["attempt"], note["attempt"]) == (2, 2), (contact, note)
    assert list(desk.vendor.contacts) == [contact["output"]["id"]] and list(desk.vendor.notes) == [note["output"]["id"]]
    assert note["output"]["created"] is False


def test_a_note_is_written_for_each_step(desk):
    contact, *notes = desk.outputs(("upsert", ADA), *[("note", {"contact": ID, "text": "Called."})] * 4)
    assert len({note["id"] for note in notes}) == 4 == len(desk.vendor.notes) and all(note["created"] for note in notes)
    assert all(note[0] == contact["id"] and "Called." in note[1] for note in desk.vendor.notes.values())


@pytest.mark.parametrize("vendor", [HubSpot, Pipedrive])
def test_the_text_of_a_note_is_text_where_notes_are_html(make_engine, vendor):
    with vendor() as fake:
        Desk(make_engine(), fake).outputs(("upsert", ADA), ("note", {"contact": ID, "text": "a < b & <script>\nc"}))
        assert [note[1].startswith("a &lt; b &amp; &lt;script&gt;<br>c<br>(ref ") for note in fake.notes.values()] == [True]


def test_a_list_and_a_deal(desk):
    deal, gone = (DEAL, DEAL.replace("2", "3")) if isinstance(desk.vendor, Dynamics) else ("900", "901")
    listing = ("add_to_list", {"contact": ID, "list": desk.vendor.listed})
    contact, one, two, moved, missing = desk.ends(
        ("upsert", ADA), listing, listing, ("deal_move", {"deal": deal, "stage": desk.vendor.stage}), ("deal_move", {"deal": gone, "stage": desk.vendor.stage}), attempts=3)
    assert one["output"] == two["output"] == {} and desk.vendor.members == {(desk.vendor.listed, contact["output"]["id"])}
    assert moved["output"] == {"id": deal} and desk.vendor.stage_of_deal() == desk.vendor.stage
    assert missing["error"]["code"].startswith(f"crm.{desk.vendor.account['vendor']}.") and missing["attempt"] == 1 and len(desk.vendor.deals) == 1, missing


def test_what_is_refused_fails_with_the_vendors_code_and_words(desk):
    error = desk.error("upsert", fields={desk.vendor.unknown_field: 1}, **ADA)
    assert (error["code"], error["class"], error["attempt"]) == (desk.vendor.code, "permanent", 1) and desk.vendor.unknown_field in error["message"], error
    assert desk.vendor.contacts == {}


def test_a_busy_vendor_is_asked_again(desk):
    desk.vendor.fail(429, headers={"Retry-After": "0"}, times=2)
    assert desk.ends(("upsert", ADA), attempts=3)[0]["attempt"] == 3
    desk.vendor.fail(503, headers={"Retry-After": "0"})
    error = desk.error("upsert", attempts=1, **ADA)
    assert error["class"] == "transient" and "503" in error["message"] + error["code"], error


def test_a_wrong_secret_is_said_and_never_shown(desk):
    desk.engine.env.update({f"CRM_{name}": "wrong-one" for name in desk.vendor.secrets})
    error = desk.error("upsert", **ADA)
    assert (error["class"], error["attempt"], desk.vendor.contacts) == ("permanent", 1, {}) and "wrong-one" not in json.dumps(error), error


TOKENS = "/services/oauth2|/oauth|/contoso/oauth2"


@pytest.fixture(params=[Salesforce, Zoho, Dynamics], ids=lambda vendor: vendor.__name__.lower())
def token_desk(request, make_engine):
    with request.param() as vendor:
        yield Desk(make_engine(), vendor)


def test_one_token_serves_all_steps_and_is_shown_nowhere(token_desk):
    vendor = token_desk.vendor
    vendor.fail(503, path=TOKENS)
    ends = token_desk.ends(("upsert", ADA), ("find", {"email": ADA["email"]}), ("note", {"contact": ID, "text": "called"}), attempts=2)
    assert [end["attempt"] for end in ends] == [2, 1, 1] and all("output" in end for end in ends), ends
    assert vendor.tokens == 1 and not [token for token in vendor.good if token in json.dumps(ends)]


def test_a_token_that_the_vendor_takes_back_is_replaced_once(token_desk):
    vendor = token_desk.vendor
    vendor.on("GET", "/take-back", lambda request: vendor.good.clear())
    look, upsert = ("crm/find@1", {"email": ADA["email"]}), ("crm/upsert@1", {**ADA, "phone": "+49 30 2"})
    ends, _ = steps.run_steps(token_desk.engine, upsert, ("http/request@1", {"url": vendor.url + "/take-back"}), upsert, look)
    assert all("output" in end for end in ends), ends
    assert vendor.tokens == 2 and len(vendor.contacts) == 1


def test_a_token_that_the_vendor_repeats_in_its_refusal_is_taken_out_each_time(token_desk):
    vendor = token_desk.vendor
    vendor.on("GET", "/repeat", lambda request: (400, {"echo": [request.headers["authorization"]] * 3}))
    error = token_desk.error("request", path="/repeat")
    assert error["message"].count("[token]") == 3 and vendor.tokens == 1 and not [token for token in vendor.good if token in json.dumps(error)], error


def test_a_token_that_is_refused_at_once_is_an_error(token_desk):
    vendor = token_desk.vendor
    vendor.good = type("Nothing", (set,), {"add": lambda self, token: None})()
    error = token_desk.error("find", attempts=3, email=ADA["email"])
    assert (error["class"], error["attempt"], vendor.tokens) == ("permanent", 1, 1), error


def test_leads_that_come_at_once_share_one_token(token_desk):
    vendor, engine = token_desk.vendor, token_desk.engine
    engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"event": "open.ping"}], "steps": [
        {"id": "s", "uses": "crm/find@1", "with": {"email": "${{ event.data.email }}"}}]}))
    engine.write("workflows/last.yaml", json.dumps({"name": "last", "on": [{"event": "github.push"}], "steps": [
        {"id": "s", "lua": f"ctx.http{{url = '{vendor.url}/last'}}"}]}))
    vendor.on("GET", "/last", lambda request: {})
    vendor.stall(path=TOKENS)
    engine.start()
    for number in range(10):
        assert engine.request("POST", "/in/open", json.dumps({"email": f"ada{number}@acme.example"}).encode())[0] == 202
    assert engine.push()[0] == 202
    wait_for("the run behind all others", lambda: vendor.at("/last"))
    vendor.release()
    runs = engine.finished_runs(10, "--workflow", "w")
    assert [run["state"] for run in runs] == ["succeeded"] * 10 and vendor.tokens == 1
    files = [path for path in (engine.folder / "data").rglob("*") if path.is_file()]
    assert not [path for path in files for token in vendor.good if token.encode() in path.read_bytes()]



@pytest.mark.parametrize("action, given, code, told", [
    ("upsert", {"first_name": "Ada"}, "crm.input", "email or external_id"),
    ("find", {}, "crm.input", "what to look for"),
    ("upsert", {"email": "ada@acme.example", "account": "eu"}, "crm.account", "only hubspot"),
    ("request", {"path": "crm"}, "crm.input", "slash"),
])
def test_what_is_missing_is_said(make_engine, action, given, code, told):
    with HubSpot() as vendor:
        error = Desk(make_engine(), vendor).error(action, **given)
        assert error["code"] == code and told in error["message"] and vendor.requests == [], error


def test_what_is_not_configured_is_said(make_engine):
    with Salesforce() as vendor:
        desk = Desk(make_engine(), vendor)
        configured = (desk.engine.folder / "bellwire.yaml").read_text()
        desk.engine.write("bellwire.yaml", configured.replace(f'"url": "{vendor.url}", ', ""))
        assert "needs a url" in desk.error("get", id="1")["message"]
        desk.engine.write("bellwire.yaml", CONFIG)
        desk.engine.run("check")
        error = desk.error("get", id="1")
        assert error["code"] == "crm.config" and "configure: {crm:" in error["message"], error


def test_the_search_of_hubspot_is_for_fields(make_engine):
    with HubSpot() as vendor:
        made = [("upsert", {"email": f"a{n}@acme.example", "company": "Acme", "fields": {"lifecyclestage": "lead"}}) for n in range(3)]
        *_, found, missing = Desk(make_engine(), vendor).outputs(
            *made, ("find", {"fields": {"lifecyclestage": "lead", "company": "Acme"}, "limit": 2}), ("request", {"path": "/crm/v3/objects/contacts/7", "accept_status": [404]}))
        assert [record["company"] for record in found["records"]] == ["Acme", "Acme"] and missing["status"] == 404


def test_the_budget_of_pipedrive_says_when_it_is_there_again(make_engine):
    with Pipedrive() as vendor:
        vendor.fail(429, {"success": False, "error": "request over limit"}, headers={"x-ratelimit-reset": "2"})
        started = time.monotonic()
        assert Desk(make_engine(), vendor).ends(("upsert", ADA), attempts=2)[0]["attempt"] == 2 and time.monotonic() - started > 2


def test_a_version_of_hubspot_is_v3_or_a_date(make_engine):
    with HubSpot() as vendor:
        vendor.account = {**vendor.account, "version": "v4"}
        error = Desk(make_engine(), vendor).error("get", id="1")
        assert error["code"] == "crm.config" and "2026-09" in error["message"] and vendor.requests == [], error


def test_who_comes_to_hubspot_in_the_meantime_is_changed(make_engine):
    with HubSpot() as vendor:
        desk = Desk(make_engine(), vendor)
        vendor.fail(404, {"category": "OBJECT_NOT_FOUND"}, path="/crm/v3/objects/contacts/", method="PATCH", after=1)
        first, second = desk.outputs(("upsert", ADA), ("upsert", {**ADA, "phone": "+49 30 2"}))
        assert (second["id"], second["created"], len(vendor.contacts)) == (first["id"], False, 1)


def test_a_contact_that_a_list_of_hubspot_does_not_find_is_an_error(make_engine):
    with HubSpot() as vendor:
        error = Desk(make_engine(), vendor).error("add_to_list", contact="9", list="77")
        assert (error["code"], error["class"]) == ("crm.hubspot.OBJECT_NOT_FOUND", "permanent") and "9" in error["message"], error


def test_pipedrive_keeps_further_addresses_and_finds_the_company(make_engine):
    with Pipedrive() as vendor:
        desk = Desk(make_engine(), vendor)
        [contact] = desk.outputs(("upsert", {"company": "Acme", **ADA}))
        vendor.contacts[contact["id"]]["emails"].append({"value": "home@acme.example", "primary": False, "label": "home"})
        assert desk.outputs(("upsert", {"company": "ACME", **ADA, "email": "home@acme.example"}))[0]["id"] == contact["id"]
        assert [mail["value"] for mail in vendor.contacts[contact["id"]]["emails"]] == ["home@acme.example", ADA["email"]]
        assert list(vendor.organizations.values()) == ["Acme"] and vendor.contacts[contact["id"]]["org_id"] == 301


@pytest.mark.parametrize("given, name", [({"first_name": "Augusta"}, "Augusta O'Brien"), ({"last_name": "King"}, "Ada King"), ({"phone": "1"}, "Ada O'Brien")])
def test_half_a_name_changes_half_of_pipedrives_name(make_engine, given, name):
    with Pipedrive() as vendor:
        first, _ = Desk(make_engine(), vendor).outputs(("upsert", ADA), ("upsert", {"email": ADA["email"], **given}))
        assert vendor.contacts[first["id"]]["name"] == name


def test_an_external_id_of_pipedrive_is_looked_for_in_its_own_field_alone(make_engine):
    with Pipedrive() as vendor:
        other, first, second, found = Desk(make_engine(), vendor).outputs(
            ("upsert", {"email": "eve@acme.example", "fields": {OTHER: "42"}}), ("upsert", {**ADA, "external_id": "42"}),
            ("upsert", {"external_id": "42", "phone": "+49 30 2"}), ("find", {"external_id": "42"}))
        assert first["id"] == second["id"] != other["id"] and [record["id"] for record in found["records"]] == [first["id"]]


def test_fields_of_a_deal_of_pipedrive_are_told_from_those_of_the_account(make_engine):
    with Pipedrive() as vendor:
        Desk(make_engine(), vendor).outputs(("deal_move", {"deal": "900", "stage": 12, "fields": {"status": "won", "won_time": "2026-01-01 00:00:00", OTHER: "x"}}))
        assert vendor.deals["900"] == {"stage_id": 12, "status": "won", "won_time": "2026-01-01 00:00:00", "custom_fields": {OTHER: "x"}}


def test_another_account_is_called_by_its_name(make_engine):
    with HubSpot() as one, HubSpot() as two:
        Desk(make_engine(), one, two, names=["us", "eu"]).outputs(("upsert", {"account": "eu", **ADA}), ("upsert", {**ADA, "email": "us@acme.example"}))
        assert [[contact["email"] for contact in fake.contacts.values()] for fake in (one, two)] == [["us@acme.example"], [ADA["email"]]]
