"""plugins/cms against fakes of its vendors: drafts that nobody sees, publishing once, and what has changed meanwhile is left alone."""
import json

import pytest
import steps
from conftest import CONFIG
from fakes.contentful import Contentful
from fakes.ghost import Ghost
from fakes.strapi import Strapi, Strapi4
from fakes.wordpress import WordPress

VENDORS = [WordPress, Ghost, Contentful, Strapi, Strapi4]
TEA = {"slug": "green-tea", "title": "Green tea", "body": "<p>Leaves.</p><p>Water.</p>"}
ID = "${{ steps.s1.id }}"  # what the first step has given
NEW = {"title": "Green tea", "body": "<p>More leaves.</p>"}


class Desk(steps.Desk):
    """An instance with the vendor as its only site."""
    plugin = "cms"

    def __init__(self, engine, vendor):
        super().__init__(engine, vendor, {"sites": [{"url": vendor.url, **vendor.site}]})


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.__name__.lower())
def desk(request, make_engine):
    with request.param() as vendor:
        yield Desk(make_engine(), vendor)


def test_a_draft_is_seen_by_nobody_until_it_is_published(desk):
    draft, by_slug, again = desk.outputs(("draft", TEA), ("get", {"slug": "green-tea"}), ("draft", {**TEA, "title": "Tea"}))
    assert (draft["created"], by_slug["id"], by_slug["status"], by_slug["title"]) == (True, draft["id"], "draft", "Green tea")
    assert by_slug["body"].replace("\n", "") == TEA["body"]
    assert (again["id"], again["created"], desk.vendor.public("green-tea"), desk.vendor.count()) == (draft["id"], False, None, 1)
    published, got = desk.outputs(("publish", {"id": draft["id"], "if_version": again["version"]}), ("get", {"id": draft["id"]}))
    assert desk.vendor.public("green-tea") == ("Tea", TEA["body"])
    assert (published["id"], got["status"], got["version"]) == (draft["id"], "published", published["version"]) and "draft" not in got
    assert (got["title"], got["body"].replace("\n", "")) == ("Tea", TEA["body"])


def test_what_is_public_stays_so_while_a_revision_is_drafted(desk):
    first, public = desk.outputs(("draft", TEA), ("publish", {"id": ID}))
    draft, got, published = desk.ends(("draft", {"id": first["id"], "if_version": public["version"], **NEW}), ("get", {"id": first["id"]}), ("publish", {"id": first["id"], **NEW}))
    if desk.vendor.drafts_what_is_public:
        assert got["output"]["status"] == "changed" and "More leaves." in got["output"]["draft"]["body"] and "More leaves." not in json.dumps(got["output"].get("body"))
    else:
        assert draft["error"]["code"] == "cms.published" and got["output"]["status"] == "published"
    assert "output" in published and desk.vendor.public("green-tea") == (NEW["title"], NEW["body"]) and desk.vendor.count() == 1


def test_a_drafted_revision_is_published_as_it_was_drafted(desk):
    if not desk.vendor.drafts_what_is_public:
        pytest.skip("has no drafts of what is public")
    first, _ = desk.outputs(("draft", TEA), ("publish", {"id": ID}))
    draft, _ = desk.outputs(("draft", {"id": first["id"], **NEW}), ("get", {"id": ID}))
    assert desk.vendor.public("green-tea") == (TEA["title"], TEA["body"])
    desk.outputs(("publish", {"id": first["id"], "if_version": draft["version"]}))
    assert desk.vendor.public("green-tea") == (NEW["title"], NEW["body"])


def test_a_draft_of_what_is_public_already_takes_the_draft_back(desk):
    if not desk.vendor.drafts_what_is_public:
        pytest.skip("has no drafts of what is public")
    first, _ = desk.outputs(("draft", TEA), ("publish", {"id": ID}))
    back = {"id": first["id"], "title": TEA["title"], "body": TEA["body"]}
    _, _, got = desk.outputs(("draft", {"id": first["id"], **NEW}), ("draft", back), ("get", {"id": first["id"]}))
    shown = got.get("draft") or got  # some keep a draft that says the same
    assert (shown["title"], shown["body"].replace("\n", "")) == (TEA["title"], TEA["body"]), got
    desk.outputs(("publish", {"id": first["id"]}))
    assert desk.vendor.public("green-tea") == (TEA["title"], TEA["body"])


def test_what_has_changed_meanwhile_is_left_alone(desk):
    first, public = desk.outputs(("draft", TEA), ("publish", {"id": ID}))
    desk.vendor.edit(first["id"], "<p>By hand.</p>")
    for action in ("publish", "draft"):
        error = desk.error(action, id=first["id"], if_version=public["version"], **NEW)
        assert (error["code"], error["attempt"]) == ("cms.conflict", 1) and first["id"] in error["message"], error
    assert desk.vendor.public("green-tea") == ("Green tea", "<p>By hand.</p>")


@pytest.mark.parametrize("fault", ["an answer of 500", "a cut connection"])
def test_what_was_done_and_not_answered_is_not_done_twice(desk, fault):
    def strike(which):
        method, path = which
        if fault == "a cut connection":
            desk.vendor.cut(after=-1, path=path, method=method)
        else:
            desk.vendor.fail(500, path=path, method=method, done=True)
    strike(desk.vendor.creates)
    [made] = desk.ends(("draft", TEA), attempts=3)
    assert made["output"]["id"] and desk.vendor.count() == 1, made
    version = made["output"]["version"]
    writes = len([request for request in desk.vendor.requests if request.method != "GET"])
    strike(desk.vendor.publishes)
    [published] = desk.ends(("publish", {"id": made["output"]["id"], "if_version": version}), attempts=3)
    assert "output" in published and desk.vendor.public("green-tea") == (TEA["title"], TEA["body"]), published
    again = 1 if fault == "a cut connection" and desk.vendor.publishes[0] == "PUT" else 0  # what is idempotent may be sent again by itself
    assert len([request for request in desk.vendor.requests if request.method != "GET"]) - writes <= 1 + again


def test_a_draft_without_a_slug_is_made_once_for_each_step(desk):
    method, path = desk.vendor.creates
    desk.vendor.fail(500, path=path, method=method, done=True)
    one, two = desk.ends(("draft", NEW), ("draft", NEW), attempts=3)
    assert one["output"]["id"] != two["output"]["id"] and one["output"]["slug"] != two["output"]["slug"] and desk.vendor.count() == 2, (one, two)


def test_what_is_refused_fails_with_the_vendors_code_and_words(desk):
    error = desk.error("draft", fields={desk.vendor.refused_field: 5}, **TEA)
    assert (error["code"], error["class"], error["attempt"]) == (desk.vendor.code, "permanent", 1) and desk.vendor.refused_field in error["message"], error
    error = desk.error("get", id="77")
    assert error["code"] == "cms.not_found" and "77" in error["message"], error


def test_a_busy_vendor_is_asked_again_and_a_wrong_secret_is_not_shown(desk):
    desk.vendor.fail(429, headers={"Retry-After": "0"}, times=2)
    assert desk.ends(("draft", TEA), attempts=3)[0]["attempt"] == 3
    wrong = {"KEY": "6489c3c3f4b1c20001a1b2c3:ffffffff"}
    desk.engine.env.update({f"CMS_{name}": wrong.get(name, "wrong-one") for name in desk.vendor.secrets})
    error = desk.error("draft", **TEA)
    assert (error["class"], error["attempt"]) == ("permanent", 1) and "401" in error["message"], error
    assert not any(secret in json.dumps(error) for secret in ("wrong-one", "ffffffff")), error


def test_what_is_missing_is_said(make_engine):
    with Ghost() as vendor:
        desk = Desk(make_engine(), vendor)
        assert desk.error("get", site="blog", id="1")["code"] == "cms.site"
        assert desk.error("get")["code"] == "cms.input"
        desk.engine.env["CMS_KEY"] = "no-key-of-ghost"
        error = desk.error("get", id="1")
        assert error["code"] == "cms.config" and "no-key-of-ghost" not in json.dumps(error), error
        desk.engine.write("bellwire.yaml", CONFIG)
        desk.engine.run("check")
        assert "configure: {cms:" in desk.error("get", id="1")["message"] and vendor.requests == []


def test_locales_and_fields_that_are_not_meant_are_kept(make_engine):
    with Contentful() as vendor:
        desk = Desk(make_engine(), vendor)
        [draft] = desk.outputs(("draft", {**TEA, "fields": {"summary": "short"}}))
        vendor.entries[draft["id"]]["fields"]["title"]["de-DE"] = "Grüner Tee"
        tagged = vendor.entries[draft["id"]]["metadata"] = {"tags": [{"sys": {"type": "Link", "linkType": "Tag", "id": "tea"}}], "concepts": []}
        desk.outputs(("publish", {"id": draft["id"], **NEW}))
        fields = vendor.published[draft["id"]]
        assert fields["title"] == {"en-US": "Green tea", "de-DE": "Grüner Tee"} and fields["summary"] == {"en-US": "short"} and fields["body"] == {"en-US": NEW["body"]}
        assert vendor.entries[draft["id"]]["metadata"] == tagged
