"""plugins/chat against fakes of its vendors: messages, threads, changes; nobody is called by a text that came from outside."""
import json

import pytest
import steps
from conftest import CONFIG
from fakes.discord import Discord
from fakes.mattermost import Mattermost
from fakes.slack import Slack
from fakes.teams import Teams, shown
from fakes.telegram import Telegram

VENDORS = [Slack, Discord, Mattermost, Telegram]
ID, CHANNEL, THREAD = ("${{ steps.s1.%s }}" % name for name in ("id", "channel", "thread"))


class Desk(steps.Desk):
    """An instance with the vendor as its only service."""
    plugin = "chat"

    def __init__(self, engine, vendor, service=None):
        super().__init__(engine, vendor, {"services": [{**({} if isinstance(vendor, Teams) else {"url": vendor.url}), **(service or vendor.service)}]})


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.__name__.lower())
def desk(request, make_engine):
    with request.param() as vendor:
        yield Desk(make_engine(), vendor)


def test_a_message_is_posted_answered_and_changed(desk):
    posted, replied, again, changed = desk.outputs(
        ("post", {"text": "One"}), ("reply", {"channel": CHANNEL, "thread": THREAD, "text": "Two"}),
        ("reply", {"channel": CHANNEL, "thread": "${{ steps.s2.thread }}", "text": "Three"}),
        ("update", {"channel": CHANNEL, "id": ID, "text": "One, changed", "rich": desk.vendor.rich}))
    assert posted["channel"] == desk.vendor.channel and changed["id"] == posted["id"]
    messages = [desk.vendor.messages[output["id"]] for output in (posted, replied, again)]
    assert [message["text"] for message in messages] == ["One, changed", "Two", "Three"] and messages[0]["rich"] == desk.vendor.rich
    assert messages[0]["thread"] is None and messages[1]["thread"] == posted["thread"] and messages[2]["thread"] == replied["thread"]


def test_a_text_calls_nobody_unless_it_may(desk):
    quiet, loud = desk.outputs(("post", {"text": desk.vendor.calling}), ("post", {"text": desk.vendor.calling, "mentions": True}))
    quiet, loud = desk.vendor.messages[quiet["id"]], desk.vendor.messages[loud["id"]]
    assert not desk.vendor.is_calling(quiet) and quiet["text"] == desk.vendor.quiet
    assert loud["text"] == desk.vendor.calling and (desk.vendor.is_calling(loud) or isinstance(desk.vendor, Telegram))


def test_what_is_refused_fails_with_the_vendors_code_and_words(desk):
    refused, busy, nothing = desk.ends(("post", {"channel": desk.vendor.missing, "text": "x"}), ("update", {"channel": desk.vendor.channel, "id": "77", "text": "x"}), ("post", {}), attempts=3)
    assert (refused["error"]["code"], refused["error"]["class"], refused["attempt"]) == (desk.vendor.code, "permanent", 1), refused
    assert busy["error"]["class"] == "permanent" and busy["error"]["message"].startswith(desk.vendor.service["vendor"]), busy
    assert nothing["error"]["code"] == "chat.input" and desk.vendor.messages == {}


def test_a_busy_vendor_is_asked_again_and_a_wrong_token_is_not_shown(desk):
    desk.vendor.fail(429, headers={"Retry-After": "0"})
    desk.vendor.fail(503)
    assert desk.ends(("post", {"text": "x"}), attempts=3)[0]["attempt"] == 3 and len(desk.vendor.messages) == 1
    desk.engine.env["CHAT_TOKEN"] = "wrong-one"
    error = desk.error("post", text="x")
    assert (error["class"], error["attempt"]) == ("permanent", 1) and "wrong-one" not in json.dumps(error), error


@pytest.mark.parametrize("vendor", [Discord, Mattermost])
def test_a_lost_answer_is_no_second_message_where_the_vendor_compares(make_engine, vendor):
    with vendor() as vendor:
        vendor.cut(after=-1, path=vendor.path)
        vendor.fail(500, path=vendor.path, done=True)
        end, other = Desk(make_engine(), vendor).ends(("post", {"text": "x"}), ("post", {"text": "x"}), attempts=3)
        assert (end["attempt"], other["attempt"]) == (3, 1) and list(vendor.messages) == [end["output"]["id"], other["output"]["id"]]


def test_a_change_that_was_made_already_is_none_for_telegram(make_engine):
    with Telegram() as vendor:
        desk = Desk(make_engine(), vendor)
        desk.outputs(("post", {"text": "One"}), ("update", {"id": ID, "text": "Two"}), ("update", {"id": ID, "text": "Two"}))
        vendor.fail(429, {"ok": False, "error_code": 429, "description": "Too Many Requests: retry after 0", "parameters": {"retry_after": 0}})
        assert desk.ends(("post", {"text": "x"}), attempts=2)[0]["attempt"] == 2


@pytest.mark.parametrize("error, kind", [("ratelimited", "transient"), ("internal_error", "transient"), ("not_in_channel", "permanent")])
def test_slack_refuses_with_status_200(make_engine, error, kind):
    with Slack() as vendor:
        vendor.fail(200, {"ok": False, "error": error})
        failure = Desk(make_engine(), vendor).error("post", attempts=1, text="x")
        assert (failure["code"], failure["class"]) == (f"chat.slack.{error}", kind), failure


def test_discord_by_a_webhook(make_engine):
    with Discord() as vendor:
        vendor.secrets = {"HOOK": vendor.url + "/api/webhooks/7/hook-token"}
        posted, replied, again, changed, both = Desk(make_engine(), vendor, {"vendor": "discord", "webhook": {"secret": "HOOK"}}).outputs(
            ("post", {"text": "One"}), ("reply", {"thread": THREAD, "text": "Two"}), ("reply", {"thread": "${{ steps.s2.thread }}", "text": "Three"}),
            ("update", {"channel": CHANNEL, "id": ID, "text": "Changed"}),
            ("update", {"channel": "${{ steps.s2.channel }}", "id": "${{ steps.s2.id }}", "text": "Changed as well"}))
        assert vendor.messages[posted["id"]]["text"] == "Changed" and changed["id"] == posted["id"]
        assert vendor.messages[replied["id"]]["text"] == "Changed as well" and both["id"] == replied["id"]
        assert vendor.messages[replied["id"]]["thread"] == vendor.messages[again["id"]]["thread"] == posted["thread"]
        assert all(message["parse"] == [] for message in vendor.messages.values())


def test_discord_says_what_is_wrong_with_which_field(make_engine):
    with Discord() as vendor:
        error = Desk(make_engine(), vendor).error("post", text="x" * 2001)
        assert error["code"] == "chat.discord.50035" and error["message"].endswith("Invalid Form Body (content: Must be 2000 or fewer in length.)"), error


def test_teams_takes_cards(make_engine):
    with Teams() as vendor:
        card = {"type": "AdaptiveCard", "version": "1.5", "body": []}
        desk = Desk(make_engine(), vendor)
        one, two, reply, bad = desk.ends(("post", {"text": "Hello"}), ("post", {"rich": card}), ("reply", {"thread": "1", "text": "x"}), ("post", {"rich": {"type": "Card"}}))
        assert one["output"] == two["output"] == {} and vendor.cards[0]["body"][0]["text"] == "Hello" and vendor.cards[1] == card
        assert reply["error"]["code"] == "chat.input" and bad["error"]["code"] == "chat.teams.TriggerInputSchemaMismatch"
        for said, kind in [("HTTP error 429 Too Many Requests", "transient"), ("HTTP error 400 Bad Request", "permanent")]:
            vendor.old_failure = f"Webhook message delivery failed with error: {said}"
            error = desk.error("post", attempts=1, text="x")
            assert (error["code"], error["class"]) == ("chat.teams.delivery", kind), error


@pytest.mark.parametrize("text", ["One\nTwo\n\nThree", "To do:\n- a\n- b\r\nThat is all.", "1. a\n2. b", "one", "\none\n"])
def test_lines_of_a_text_are_lines_in_teams(make_engine, text):
    with Teams() as vendor:
        Desk(make_engine(), vendor).outputs(("post", {"text": text}))
        assert shown(vendor.cards[0]["body"][0]["text"]) == [line for line in text.splitlines() if line]


def test_what_is_missing_is_said(make_engine):
    with Slack() as vendor:
        desk = Desk(make_engine(), vendor, {"vendor": "slack", "token": {"secret": "TOKEN"}})
        assert desk.error("post", text="x")["code"] == "chat.input" and desk.error("post", text="x", service="ops")["code"] == "chat.service"
        desk.engine.write("bellwire.yaml", CONFIG)
        desk.engine.run("check")
        assert "configure: {chat:" in desk.error("post", text="x")["message"] and vendor.requests == []
