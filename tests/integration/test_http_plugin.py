"""The bundled http plugin: named connections, what they prove themselves by, the way out, and that nothing is sent twice unseen."""
import base64
import json
import threading

import pytest

from conftest import CONFIG, wait_for
from fakes.oauth2 import CLIENT, SECRET, OAuth2
from fakes.proxy import Proxy
from fakes.server import Server
from steps import run_steps

URL = "http://127.0.0.1"


class Desk:
    """An instance whose http plugin has these connections, and these secrets."""

    def __init__(self, engine, secrets, *connections):
        self.engine, self.secrets = engine, secrets
        named = {name: {"env": f"HTTP_{name}"} for name in secrets}
        engine.write("bellwire.yaml", CONFIG + f"secrets: {json.dumps(named)}\nconfigure: {json.dumps({'http': {'connections': connections}})}\n")
        engine.env.update({f"HTTP_{name}": value for name, value in secrets.items()})

    def ends(self, *steps, action="request", attempts=1):
        ends, said = run_steps(self.engine, *((f"http/{action}@1", given) for given in steps), attempts=attempts)
        assert not [name for name, value in self.secrets.items() if value in said]
        return ends, said

    def output(self, **given):
        [end], _ = self.ends(given)
        assert "output" in end, end
        return end["output"]

    def error(self, attempts=1, **given):
        [end], _ = self.ends(given, attempts=attempts)
        return end["error"]


@pytest.fixture
def desk(make_engine):
    return lambda secrets, *connections: Desk(make_engine(), secrets, *connections)


@pytest.fixture
def server():
    with Server() as made:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            made.on(method, "/v2/seen", lambda request: {"method": request.method, "headers": request.headers, "target": request.target})
            made.on(method, "/v2/cut", lambda request: {"ok": True})
        yield made


# ---- what may have been done is not sent again unseen ----

@pytest.mark.parametrize("method, sent", [("POST", 1), ("PATCH", 1), ("PUT", 2), ("GET", 2)])
def test_a_kept_connection_that_is_closed_without_an_answer(desk, server, method, sent):
    server.cut(after=-1, path="/v2/cut")
    body = {} if method == "GET" else {"json": {"n": 1}}
    ends, _ = desk({}).ends({"url": server.url + "/v2/seen"}, {"url": server.url + "/v2/cut", "method": method, **body})
    requests = server.at("/v2/cut")
    assert len(requests) == sent and all(request.body == requests[0].body for request in requests)
    if sent == 1:
        assert (ends[1]["error"]["code"], ends[1]["error"]["class"]) == ("http.network", "transient"), ends[1]
    else:
        assert ends[1]["output"]["status"] == 200, ends[1]


# ---- a connection's own host, headers and credentials ----

def test_a_path_goes_on_from_the_base(desk, server):
    one = desk({}, {"name": "shop", "base_url": server.url + "/v2/", "headers": {"X-Shop": "7", "Accept": "text/csv"}})
    for url in ("/seen?a=1", server.url + "/v2/seen?a=1"):
        seen = one.output(url=url, connection="shop", headers={"accept": "application/json"})["json"]
        assert seen["target"] == "/v2/seen?a=1" and seen["headers"]["x-shop"] == "7" and seen["headers"]["accept"] == "application/json"


@pytest.mark.parametrize("auth, secret, name, value", [
    ({"basic": {"user": "ada", "password": {"secret": "S"}}}, "pass:word", "authorization", "Basic " + base64.b64encode(b"ada:pass:word").decode()),
    ({"bearer": {"token": {"secret": "S"}}}, "a-token-that-stays", "authorization", "Bearer a-token-that-stays"),
    ({"header": {"name": "X-Api-Key", "value": {"secret": "S"}}}, "a-key-of-ours", "x-api-key", "a-key-of-ours"),
], ids=["basic", "bearer", "header"])
def test_a_credential_goes_to_the_server_and_is_shown_nowhere(desk, server, auth, secret, name, value):
    one = desk({"S": secret}, {"name": "shop", "base_url": server.url + "/v2", "auth": auth})
    [end], said = one.ends({"url": "/seen", "connection": "shop"})
    assert server.requests[-1].headers[name] == value
    hidden = end["output"]["json"]["headers"][name].split()[-1]
    assert set(hidden) == {"*"} and value.split()[-1] not in said
    error = one.error(url="/seen", connection="shop", headers={name.title(): "mine"})
    assert error["code"] == "http.input" and "leave it out" in error["message"] and len(server.requests) == 1


@pytest.mark.parametrize("url", ["http://localhost:{port}/v2/seen", "https://127.0.0.1:{port}/v2/seen", URL + ":1/v2/seen", "@127.0.0.1:{port}/v2/seen",
                                 "http://u:p@127.0.0.1:{port}/v2/seen", "v2/seen", "ftp://127.0.0.1:{port}/v2/seen"])
def test_a_connection_sends_nothing_to_another_place(desk, server, url):
    one = desk({"S": "a-token-that-stays"}, {"name": "shop", "base_url": server.url + "/v2", "auth": {"bearer": {"token": {"secret": "S"}}}})
    error = one.error(url=url.format(port=server.port), connection="shop")
    assert error["code"] == "http.input" and "the connection's own host" in error["message"] and not server.requests


def test_a_connection_that_is_not_there(desk, server):
    error = desk({}, {"name": "shop", "base_url": server.url}).error(url="/seen", connection="shpo")
    assert error["code"] == "http.input" and "configured: shop" in error["message"]
    assert "none is configured" in desk({}).error(url="/seen", connection="shop")["message"]


SHOP = {"name": "shop", "base_url": "https://shop.example"}
OAUTH2 = {"token_url": "https://login.example/token", "client_id": "desk", "client_secret": {"secret": "S"}}


@pytest.mark.parametrize("connections, why", [
    ([{"name": "shop"}], "base_url"),
    ([SHOP, SHOP], "two connections"),
    ([{**SHOP, "base_url": "shop.example"}], "base_url must be"),
    ([{**SHOP, "base_url": "https://u:p@shop.example"}], "base_url must be"),
    ([{**SHOP, "base_url": "https://shop.example/?a=1"}], "base_url must be"),
    ([{**SHOP, "base_url": "http://shop.example", "tls": {"ca": {"secret": "S"}}}], "not https"),
    ([{**SHOP, "tls": {"certificate": {"secret": "S"}}}], "belong together"),
    ([{**SHOP, "tls": {"key": "PEM"}}], "its value is never written"),
    ([{**SHOP, "auth": {}}], "one of basic"),
    ([{**SHOP, "auth": {"bearer": {"token": {"secret": "S"}}, "oauth2": OAUTH2}}], "one of basic"),
    ([{**SHOP, "headers": {"Authorization": "Bearer x"}}], "no credential"),
    ([{**SHOP, "headers": {"X-A": "b\r\nc"}}], "line breaks"),
    ([{**SHOP, "proxy": {"url": "https://proxy.example"}}], "http://HOST:PORT"),
    ([{**SHOP, "proxy": {"url": "http://proxy.example:3128", "user": "ada"}}], "belong together"),
    ([{**SHOP, "auth": {"oauth2": {**OAUTH2, "token_url": "login.example"}}}], "token_url"),
    ([{**SHOP, "auth": {"oauth2": {"token_url": "https://login.example", "client_id": "desk"}}}], "client_secret"),
    ([{**SHOP, "auth": {"oauth2": {"token_url": "https://login.example", "client_id": "desk", "client_auth": "tls"}}}], "certificate"),
    ([{**SHOP, "auth": {"oauth2": {**OAUTH2, "params": {"grant_type": "password"}}}}], "grant_type"),
])
def test_what_is_configured_wrongly_is_refused_with_the_reason(desk, connections, why):
    one = desk({"S": "a-secret-of-ours"}, *connections)
    one.engine.write("workflows/w.yaml", f"{{name: w, on: [{{manual: true}}], steps: [{{id: s, uses: http/request@1, with: {{url: '{URL}'}}}}]}}")
    result = one.engine.run("check", check=False)
    assert result.returncode == 1 and why in result.stderr, result.stderr


# ---- OAuth2 ----

def orders(vendor, **oauth2):
    return {"name": "orders", "base_url": vendor.url + "/api",
            "auth": {"oauth2": {"token_url": vendor.url + "/token", "client_id": CLIENT, "client_secret": {"secret": "SECRET"}, **oauth2}}}


@pytest.mark.parametrize("how", ["basic", "body"])
def test_one_token_serves_many_steps_and_is_shown_nowhere(desk, how):
    with OAuth2() as vendor:
        one = desk({"SECRET": SECRET}, orders(vendor, client_auth=how, scope="orders.read orders.write", params={"audience": "https://shop.example"}))
        ends, said = one.ends(*[{"url": "/orders", "connection": "orders"}] * 5)
        assert [end["output"]["status"] for end in ends] == [200] * 5
        assert [(made["scope"], made["audience"]) for made in vendor.issued] == [("orders.read orders.write", ["https://shop.example"])]
        assert vendor.issued[0]["token"] not in said and set(ends[0]["output"]["headers"]["x-echo"]) == {"*"}


def test_requests_that_wait_at_once_share_one_fetch(make_engine, server):
    with OAuth2() as vendor:
        one = Desk(make_engine(), {"SECRET": SECRET}, orders(vendor))
        vendor.stall(path="/token")
        order = {"id": "s", "uses": "http/request@1", "with": {"url": "/orders", "connection": "orders", "method": "POST", "json": 1}}
        look = {"id": "s", "uses": "http/request@1", "with": {"url": server.url + "/v2/seen"}}
        one.engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"event": "open.ping"}], "steps": [order]}))
        one.engine.write("workflows/last.yaml", json.dumps({"name": "last", "on": [{"event": "github.push"}], "steps": [look]}))
        one.engine.start()
        for _ in range(8):
            assert one.engine.request("POST", "/in/open", b"{}")[0] == 202
        assert one.engine.push()[0] == 202
        wait_for("the call behind all others", lambda: server.at("/v2/seen") and vendor.at("/token"))
        vendor.release()
        runs = one.engine.finished_runs(8, "--workflow", "w")
        assert [run["state"] for run in runs] == ["succeeded"] * 8 and len(vendor.at("/token")) == 1
        database = (one.engine.folder / "data").rglob("*")
        assert not [path for path in database if path.is_file() and vendor.issued[0]["token"].encode() in path.read_bytes()]
        assert vendor.issued[0]["token"] not in json.dumps(one.engine.log)


def test_a_token_that_is_taken_back_is_replaced_once(desk):
    with OAuth2() as vendor:
        one = desk({"SECRET": SECRET}, orders(vendor))
        taken = threading.Event()

        def take_back(request):
            vendor.revoked.update(made["token"] for made in vendor.issued)
            taken.set()
            return {}
        vendor.on("GET", "/api/revoke", take_back)
        step = {"url": "/orders", "connection": "orders", "method": "POST", "json": {"n": 1}}
        ends, said = one.ends(step, {"url": "/revoke", "connection": "orders"}, step, step)
        assert taken.is_set() and [end["output"]["status"] for end in ends] == [200] * 4
        assert len(vendor.issued) == 2 and len(vendor.at("/api/orders")) == 4
        assert not [made for made in vendor.issued if made["token"] in said]


def test_a_token_that_is_refused_at_once_is_an_error(desk):
    with OAuth2() as vendor:
        one = desk({"SECRET": SECRET}, orders(vendor))
        vendor.answer = (200, {"access_token": "not-one-of-its-own", "token_type": "Bearer", "expires_in": 60})
        error = one.error(attempts=3, url="/orders", connection="orders")
        assert (error["code"], error["class"]) == ("http.status", "permanent") and "401" in error["message"] and "not-one" not in error["message"]
        assert len(vendor.at("/token")) == 1


def test_a_token_that_is_over_is_not_used_again(desk):
    with OAuth2() as vendor:
        vendor.expires_in = 0
        ends, _ = desk({"SECRET": SECRET}, orders(vendor)).ends(*[{"url": "/orders", "connection": "orders"}] * 3)
        assert [end["output"]["status"] for end in ends] == [200] * 3 and len(vendor.issued) == 3


@pytest.mark.parametrize("given, code, cls, why", [
    ({"client_id": "nobody"}, "http.token", "permanent", "401: invalid_client: no such client"),
    ({"scope": "everything"}, "http.token", "permanent", "400: invalid_scope"),
])
def test_what_the_token_server_refuses_is_said(desk, given, code, cls, why):
    with OAuth2() as vendor:
        error = desk({"SECRET": SECRET}, orders(vendor, **given)).error(attempts=3, url="/orders", connection="orders", method="POST", json=1)
        assert (error["code"], error["class"]) == (code, cls) and why in error["message"] and not vendor.at("/api/orders")
        assert len(vendor.at("/token")) == 1


@pytest.mark.parametrize("answer, why", [
    ((200, {"access_token": "t", "token_type": "mac"}), "'mac'"), ((200, {"token_type": "bearer"}), "no access_token"),
    ((200, {"access_token": "a b", "token_type": "bearer"}), "no access_token"), ((200, None), "no access_token"),
    ((200, {"error": "invalid_client"}), "no access_token"),
])
def test_an_answer_that_is_no_token(desk, answer, why):
    with OAuth2() as vendor:
        vendor.answer = answer
        error = desk({"SECRET": SECRET}, orders(vendor)).error(url="/orders", connection="orders")
        assert error["code"] == "http.token" and why in error["message"] and not vendor.at("/api/orders")


def test_a_token_server_that_is_busy_is_asked_again(desk):
    with OAuth2() as vendor:
        vendor.fail(503, {"error": "temporarily_unavailable"}, path="/token", times=2)
        [end], _ = desk({"SECRET": SECRET}, orders(vendor)).ends({"url": "/orders", "connection": "orders", "method": "POST", "json": 1}, attempts=3)
        assert end["output"]["status"] == 200 and len(vendor.at("/token")) == 3 and len(vendor.at("/api/orders")) == 1


def test_the_time_of_a_request_counts_while_it_waits_for_a_token(desk):
    with OAuth2() as vendor:
        vendor.stall(path="/token")
        error = desk({"SECRET": SECRET}, orders(vendor)).error(url="/orders", connection="orders", timeout="50ms")
        assert error["code"] == "http.timeout" and "token server" in error["message"] and not vendor.at("/api/orders")


def test_at_most_once_sends_nothing_again_by_itself(desk):
    with OAuth2() as vendor:
        one = desk({"SECRET": SECRET}, orders(vendor))
        vendor.on("GET", "/api/revoke", lambda request: vendor.revoked.update(made["token"] for made in vendor.issued) or {})
        once = {"id": "s3", "uses": "http/request@1", "guarantee": "at_most_once", "retry": {"attempts": 2, "delay": "1ms"},
                "with": {"url": "/orders", "connection": "orders", "method": "POST", "json": 1}}
        one.engine.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": [
            {"id": "s2", "uses": "http/request@1", "with": {"url": "/revoke", "connection": "orders"}}, once]}))
        rows = [json.loads(line) for line in one.engine.run("run", "w", "--json", check=False).stdout.splitlines()]
        end = [row for row in rows if row.get("what") == "step_finished"][-1]
        assert end["attempt"] == 2 and end["output"]["status"] == 200 and len(vendor.issued) == 2, end


# ---- proxies ----

def test_a_plain_request_goes_out_by_the_proxy(desk, server):
    with Proxy("ada", "way-out-word") as proxy:
        one = desk({"P": "way-out-word"}, {"name": "shop", "base_url": server.url + "/v2",
                                           "proxy": {"url": proxy.url, "user": "ada", "password": {"secret": "P"}}})
        seen = one.output(url="/seen", connection="shop", method="POST", json=1)["json"]
        assert proxy.seen == [("POST", server.url + "/v2/seen")] and "proxy-authorization" not in seen["headers"]


def test_a_proxy_of_the_environment_is_none(desk, server):
    with Proxy() as proxy:
        one = desk({}, {"name": "shop", "base_url": server.url + "/v2"})
        one.engine.env.update(http_proxy=proxy.url, HTTPS_PROXY=proxy.url, ALL_PROXY=proxy.url)
        assert one.output(url="/seen", connection="shop")["status"] == 200 and not proxy.seen


def test_no_proxy_of_the_environment_leads_around_a_configured_one(desk, server):
    with Proxy() as proxy:
        one = desk({}, {"name": "shop", "base_url": server.url + "/v2", "proxy": {"url": proxy.url}})
        one.engine.env.update(no_proxy="*", NO_PROXY="127.0.0.1")
        assert one.output(url="/seen", connection="shop")["status"] == 200 and len(proxy.seen) == 1


def test_the_address_of_a_proxy_is_looked_at(make_engine, server):
    with Proxy() as proxy:
        engine = make_engine()
        one = Desk(engine, {}, {"name": "shop", "base_url": "http://shop.example", "proxy": {"url": proxy.url}})
        engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("allow_private_network: true", "allow_private_network: false"))
        assert one.error(url="/seen", connection="shop")["code"] == "http.address_denied" and not proxy.seen
