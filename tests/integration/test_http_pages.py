"""http/pages: every way in which servers say where the next page is, bounds, and what must not be followed."""
import json

import pytest

from fakes.oauth2 import OAuth2, SECRET
from fakes.server import Answer, Refused, Server
from test_http_plugin import Desk, orders

ALL = list(range(25))
LINK = '<{url}/link?at={at}>; rel="next"'


class Shop(Server):
    """25 items, ten a page, given out in each way."""

    def __init__(self, link=LINK):
        super().__init__()
        self.link_text = link
        for way in ("link", "url", "cursor", "page", "offset"):
            self.on("GET", "/" + way, getattr(self, "by_" + way))

    def number(self, request, name, first=0):
        values = request.query.get(name, [str(first)])
        if len(values) != 1 or not values[0].isdigit():
            raise Refused(400, {"error": f"{name}={values}"})
        return int(values[0])

    def by_link(self, request):
        at = self.number(request, "at")
        return Answer(200, json.dumps(ALL[at:at + 10]).encode(), {"Link": self.link_text.format(url=self.url, at=at + 10)} if at < 20 else {})

    def by_url(self, request):
        at = self.number(request, "at")
        return {"data": {"a/b": ALL[at:at + 10]}, "paging": {"next": f"/url?at={at + 10}" if at < 20 else None}}

    def by_cursor(self, request):
        at = self.number(request, "after")
        if request.query["q"] != ["a b&c"]:
            raise Refused(400, {"error": "q is gone"})
        return {"results": ALL[at:at + 10], **({"next": at + 10} if at < 20 else {})}

    def by_page(self, request):
        page = self.number(request, "p", 99)
        return {"rows": ALL[10 * (page - 1):10 * page]}

    def by_offset(self, request):
        at = self.number(request, "offset", 99)
        return ALL[at:at + 10]


@pytest.fixture
def pages(make_engine):
    engine = make_engine()

    def read(desk=None, attempts=1, **given):
        [end], _ = (desk or Desk(engine, {})).ends(given, action="pages", attempts=attempts)
        return end.get("output") or end["error"]
    return read


WAYS = {
    "url": {"by": "url", "next": "/paging/next", "items": "/data/a~1b"},
    "cursor": {"by": "cursor", "next": "/next", "items": "/results", "param": "after"},
    "page": {"by": "page", "items": "/rows", "param": "p"},
    "offset": {"by": "offset"},
}


@pytest.mark.parametrize("way", WAYS)
def test_all_pages_are_one_list(pages, way):
    with Shop() as shop:
        query = "?q=a%20b%26c&after=0" if way == "cursor" else ""
        got = pages(url=f"{shop.url}/{way}{query}", **WAYS[way])
        assert got == {"items": ALL, "pages": 4 if way in ("page", "offset") else 3, "complete": True}, got


@pytest.mark.parametrize("way", ["page", "offset"])
def test_a_short_page_is_the_last_when_the_size_is_known(pages, way):
    with Shop() as shop:
        got = pages(url=f"{shop.url}/{way}", size=10, **WAYS[way])
        assert got == {"items": ALL, "pages": 3, "complete": True} and len(shop.requests) == 3


@pytest.mark.parametrize("link", [
    LINK, "</link?at={at}>;rel=next", '<{url}/x>; rel="prev", </link?at={at}> ; title="a, b; \\"c\\""; REL="last NEXT"', "<?at={at}>; rel=next; rel=prev",
])
def test_links_as_servers_write_them(pages, link):
    with Shop(link) as shop:
        assert pages(url=shop.url + "/link") == {"items": ALL, "pages": 3, "complete": True}


@pytest.mark.parametrize("link", ['</link?at={at}>; rel=prev; rel=next', '</link?at={at}>; title="; rel=next"', "/link; rel=next", '</link?at={at}>; rel="nexts"', "<"])
def test_what_is_no_link_to_a_next_page(pages, link):
    with Shop(link) as shop:
        assert pages(url=shop.url + "/link") == {"items": ALL[:10], "pages": 1, "complete": True}


@pytest.mark.parametrize("way", ["link", *WAYS])
@pytest.mark.parametrize("bound", [{"max_pages": 1}, {"max_items": 5}, {"max_bytes": 1}], ids=["pages", "items", "bytes"])
def test_a_bound_stops_between_pages_and_the_rest_is_read_from_there(pages, way, bound):
    with Shop() as shop:
        given = {"url": f"{shop.url}/{way}" + ("?q=a%20b%26c" if way == "cursor" else ""), **WAYS.get(way, {})}
        got = pages(**given, **bound)
        assert got["items"] == ALL[:10] and got["pages"] == 1 and got["complete"] is False
        rest = pages(**given, **{"from": got["next"]})
        assert rest["items"] == ALL[10:] and rest["complete"] is True


def test_a_page_that_fails_fails_the_step_and_says_which(pages):
    with Shop() as shop:
        shop.fail(404, {"error": "gone"})
        assert pages(url=shop.url + "/link")["message"].startswith("page 1: the server answered 404")
    with Shop() as shop:
        for fault, code, cls in [((500, {"error": "later"}), "http.status", "transient"), ((403, {"error": "no"}), "http.status", "permanent")]:
            shop.requests.clear()
            shop.fail(*fault, path="/link", after=1)
            error = pages(url=shop.url + "/link")
            assert (error["code"], error["class"]) == (code, cls) and f"page 2 (from: '{shop.url}/link?at=10'): the server" in error["message"], error
        shop.cut(after=3, path="/link")
        assert pages(url=shop.url + "/link")["code"] == "http.network"


def test_a_page_that_may_come_yet_is_tried_again_from_the_first(pages):
    with Shop() as shop:
        shop.fail(503, path="/link", after=1)
        assert pages(url=shop.url + "/link", attempts=2)["items"] == ALL and len(shop.requests) == 5


@pytest.mark.parametrize("answer, given, why", [
    ({"data": {}}, {"items": "/data"}, "no list at '/data'"), ({"data": []}, {}, "no list at ''"), ("text", {"items": "/x"}, "no list"),
    ({"l": [], "n": {}}, {"items": "/l", "by": "url", "next": "/n"}, "no text"), ({"l": [1], "n": "self"}, {"items": "/l", "by": "cursor", "next": "/n", "from": "self"}, "itself"),
    ({"l": [1], "n": "/a"}, {"items": "/l", "by": "url", "next": "/n"}, "itself"), ({"l": [1], "n": "ftp://x/y"}, {"items": "/l", "by": "url", "next": "/n"}, "no URL"),
])
def test_an_answer_that_is_no_page(pages, answer, given, why):
    with Server() as server:
        server.on("GET", "/a", lambda request: answer)
        error = pages(url=server.url + "/a", **given)
        assert error["code"] == "http.pages" and why in error["message"], error


def test_no_json_is_no_page(pages):
    with Server() as server:
        server.on("GET", "/a", lambda request: Answer(200, b"<html>"))
        assert "no JSON" in pages(url=server.url + "/a")["message"]


@pytest.mark.parametrize("given, why", [
    ({"by": "url"}, "next belongs"), ({"next": "/a"}, "next belongs"), ({"items": "data"}, "JSON pointers"), ({"by": "page", "from": "x"}, "number"),
    ({"by": "cursor", "next": "cursor"}, "JSON pointers"),
])
def test_inputs_that_do_not_fit_together(pages, given, why):
    error = pages(url="http://127.0.0.1:1/", **given)
    assert error["code"] == "http.input" and why in error["message"]


def test_a_next_page_on_another_host_is_not_read_unless_it_is_named(pages):
    with Shop() as there, Server() as here:
        here.on("GET", "/first", lambda request: Answer(200, b"[0]", {"Link": f"<{there.url}/link?at=10>; rel=next"}))
        error = pages(url=here.url + "/first")
        assert error["code"] == "http.pages" and "not on the first one's host" in error["message"] and not there.requests
        assert pages(url=here.url + "/first", **{"from": there.url + "/link"})["code"] == "http.pages" and not there.requests
        assert pages(url=here.url + "/first", hosts=[there.url])["items"] == [0, *ALL[10:]]


def test_a_connection_reads_no_page_of_another_host(make_engine, pages):
    with OAuth2() as vendor, Shop() as there:
        vendor.on("GET", "/api/list", lambda request: Answer(200, b"[0]", {"Link": f"<{there.url}/link>; rel=next"}))
        vendor.on("GET", "/api/own", lambda request: Answer(200, json.dumps([request.headers["authorization"][:7]]).encode(),
                                                            {} if request.query else {"Link": "</api/own?x=1>; rel=next"}))
        desk = Desk(make_engine(), {"SECRET": SECRET}, orders(vendor))
        assert "not on the first one's host" in pages(desk, url="/list", connection="orders")["message"]
        assert "no other host" in pages(desk, url="/list", connection="orders", hosts=[there.url])["message"] and not there.requests
        assert pages(desk, url="/own", connection="orders")["items"] == ["Bearer ", "Bearer "] and len(vendor.issued) == 2
