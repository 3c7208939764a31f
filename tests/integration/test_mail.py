"""plugins/mail against a real mail server: what arrives is a mail that others read as it was meant, whatever its texts hold; and nobody gets two of them
without a doubt being said."""
import asyncio
import base64
import email.header
import email.policy
import email.utils
import json
import os
import random
import re
import sys

import pytest

from conftest import BUILD, ROOT, wait_for
from test_tls import dev_cert

sys.path.insert(0, str(ROOT / "tests" / "fakes"))
smtp = pytest.importorskip("smtp", reason="aiosmtpd is not installed (apt-get install python3-aiosmtpd)")

CONFIG = """
listen: [http://127.0.0.1:0]
allow_private_network: true
secrets: {MAIL_PASSWORD: {env: MAIL_PASSWORD}}
sources: {open: {path: /in/open, verify: none, event: ping}}
configure: {mail: {server: "URL", from: "Shop <shop@shop.example>" MORE}}
"""
STRICT = email.policy.SMTP.clone(raise_on_defect=True)


@pytest.fixture
def box():
    with smtp.Mailbox() as box:
        yield box


@pytest.fixture
def sender(make_engine):
    def make(url, more="", **environment):
        engine = make_engine(CONFIG.replace("URL", url).replace("MORE", f", {more}" if more else ""))
        engine.env["MAIL_PASSWORD"] = "m4il-p4ssw0rd"
        engine.env.update(environment)
        return engine
    return make


def send(engine, *mails):
    """Sends them, each by a step of one run. Returns the output of each, or its error."""
    lines = ["name: tried", "on: [{manual: true}]", "steps:"]
    for index, given in enumerate(mails):
        text = json.dumps(given, ensure_ascii=False).replace("\u2028", "\\u2028")  # to YAML it ends a line
        lines.append(f"  - {{id: s{index}, uses: mail/send@1, on_error: continue, retry: {{attempts: 1}}, with: {text}}}")
    engine.write("workflows/tried.yaml", "\n".join(lines) + "\n")
    result = engine.run("run", "tried", "--json", check=False)
    ends = [line for line in map(json.loads, result.stdout.splitlines()) if line.get("what") == "step_finished"]
    assert len(ends) == len(mails), result.stdout + result.stderr
    return [line["output"] if line["state"] == "succeeded" else line["error"] for line in ends]


def parse(content):
    """As others read it: each line is short enough and in ASCII, and the strict parser of Python finds no defect."""
    assert all(len(line) <= 998 for line in content.split(b"\r\n")) and b"\n" not in content.replace(b"\r\n", b"") and content.isascii()
    message = email.message_from_bytes(content, policy=STRICT)
    for part in message.walk():
        assert not part.defects, part.defects
        for name, value in part.items():
            assert not value.defects, (name, value, value.defects)
    return message


def text_of(part):
    return part.get_content().replace("\r\n", "\n")


MAIL = {"to": ["Ada <ada@shop.example>"], "subject": "Order 7", "text": "Thank you.\n"}


def test_a_mail_arrives(sender, box):
    [answer] = send(sender(box.url), {**MAIL, "cc": ["bob@shop.example"], "bcc": ["audit@shop.example", "ADA@shop.example"], "reply_to": ["help@shop.example"],
                                      "headers": {"List-Unsubscribe": "<https://shop.example/u>"}})
    [mail] = box.mails
    message = parse(mail.content)
    assert (mail.sender, mail.recipients) == ("shop@shop.example", ["ada@shop.example", "bob@shop.example", "audit@shop.example"])
    assert answer == {"message_id": str(message["message-id"]), "accepted": mail.recipients, "refused": [], "reply": "250 2.0.0 queued as 42"}
    assert re.fullmatch(r"<[a-z0-9_]{35}@shop\.example>", answer["message_id"]) and mail.hello == "shop.example"
    assert [str(message[name]) for name in ("from", "to", "cc", "bcc", "reply-to", "subject", "list-unsubscribe", "auto-submitted")] == [
        "Shop <shop@shop.example>", "Ada <ada@shop.example>", "bob@shop.example", "None", "help@shop.example", "Order 7", "<https://shop.example/u>", "auto-generated"]
    assert text_of(message) == "Thank you.\n" and message["date"].datetime.utcoffset().total_seconds() == 0


def test_text_html_and_attachments(sender, box):
    files = [("a.pdf", "application/pdf", os.urandom(5000)), ("Übersicht \"2026\".csv", "text/csv", b"a,b\r\n"), ("x" * 120 + "é.bin", "application/octet-stream", b"")]
    attachments = [{"name": name, "type": kind, "data": base64.b64encode(data).decode()} for name, kind, data in files]
    answers = send(sender(box.url), {**MAIL, "html": "<p>Thank <b>you</b> – é</p>\n", "attachments": attachments}, {**MAIL, "html": "<p>both</p>\n"},
                   {"to": ["a@b.example"], "subject": "", "html": "<p>only</p>\n"}, {"to": ["a@b.example"], "subject": "nothing in it"})
    assert all("message_id" in answer for answer in answers), answers
    whole, both, only, none = [parse(mail.content) for mail in box.mails]
    assert [part.get_content_type() for part in whole.walk()] == ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/pdf", "text/csv", "application/octet-stream"]
    assert text_of(whole.get_body(("html",))) == "<p>Thank <b>you</b> – é</p>\n" and text_of(whole.get_body(("plain",))) == "Thank you.\n"
    assert [(part.get_filename(), part.get_payload(decode=True)) for part in whole.iter_attachments()] == [(name, data) for name, _, data in files]
    assert both.get_content_type() == "multipart/alternative" and only.get_content_type() == "text/html" and text_of(none) == ""


def random_text(chance, size, lines=False):
    pieces = ["a", "word", "=?UTF-8?B?eA==?=", "=", "é", "日本語", "𝄞", " ", "  ", "\"", "\\", ".", ",", "<x@y.example>", ";", "x" * 90, "From ", "-- ", "\u2028", "\u00a0"]
    if lines:
        pieces += ["\n", "\n.", "\n.\n", "\n\n", "\t", " \n", "--=_", "x" * 1200]
    return "".join(chance.choice(pieces) for _ in range(chance.randrange(size)))


def test_whatever_texts_hold_they_arrive(sender, box):
    seed = int(os.environ.get("BELLWIRE_SEED", random.SystemRandom().randrange(1 << 32)))
    chance = random.Random(seed)
    mails = []
    for _ in range(60):
        name = random_text(chance, 12).replace("<x@y.example>", "").replace("\"", "").replace("\\", "")
        name = re.sub(" +", " ", name).strip(" ") or "Ada"  # Python's parser takes several blanks of a name for one
        mails.append({"to": [f"{name} <ada@shop.example>"], "subject": random_text(chance, 40), "text": random_text(chance, 60, True), "headers": {"X-Note": random_text(chance, 20)},
                      "attachments": [{"name": random_text(chance, 6).strip() + "x", "data": base64.b64encode(chance.randbytes(chance.randrange(300))).decode()}]})
    answers = send(sender(box.url), *mails)
    assert [answer.get("reply") for answer in answers] == ["250 2.0.0 queued as 42"] * len(mails), (seed, answers)
    for given, mail in zip(mails, box.mails):
        message = parse(mail.content)
        [attachment] = message.iter_attachments()
        body = text_of(message.get_body())
        [(name, _)] = email.utils.getaddresses([email.message_from_bytes(mail.content)["to"]])  # the strict parser has blanks between encoded words of a name
        seen = (str(email.header.make_header(email.header.decode_header(name))), str(message["subject"]), str(message["x-note"]), body, attachment.get_filename(), base64.b64encode(attachment.get_payload(decode=True)).decode())
        wanted = (given["to"][0][:-len(" <ada@shop.example>")], given["subject"], given["headers"]["X-Note"], given["text"], given["attachments"][0]["name"], given["attachments"][0]["data"])
        assert seen == wanted, f"BELLWIRE_SEED={seed}"
        assert mail.recipients == ["ada@shop.example"]


WRONG = [
    ({"subject": "a\r\nBcc: all@shop.example"}, "subject must be text without line breaks"), ({"subject": "a\nb"}, "subject"), ({"to": []}, "nobody in to"),
    ({"to": ["a@b.example\r\nRCPT TO:<c@d.example>"]}, "line break"), ({"to": ["ada"]}, "an address is like"), ({"to": ["a b@c.example"]}, "plain name"),
    ({"to": ["é@shop.example"]}, "xn--"), ({"to": ["a@-b.example"]}, "no domain"), ({"to": ["a@b..example"]}, "no domain"), ({"to": [".a@b.example"]}, "plain name"),
    ({"to": ["a" * 65 + "@b.example"]}, "longer"), ({"to": ["a>@b.example"]}, "plain name"), ({"from": "Shop"}, "from: 'Shop'"),
    ({"headers": {"Bcc": "x@y.example"}}, "not written by hand"), ({"headers": {"X-A": "b\nBcc: c"}}, "header X-A"), ({"headers": {"X A": "b"}}, "no name"), ({"headers": {"Content-Type": "x"}}, "not written"),
    ({"attachments": [{"name": "a\nb", "data": ""}]}, "needs a name"), ({"attachments": [{"name": "a", "data": "###"}]}, "no base64"), ({"attachments": [{"name": "a", "data": "abc"}]}, "no base64"),
    ({"attachments": [{"name": "a", "data": "", "type": "x; y"}]}, "no type"), ({"attachments": [{"name": "a", "data": "", "type": "multipart/mixed"}]}, "no type"),
]


def test_what_is_no_mail_is_refused(sender, box):
    for (wrong, says), answer in zip(WRONG, send(sender(box.url), *({**MAIL, **wrong} for wrong, _ in WRONG))):
        assert answer["code"] == "mail.input" and says in answer["message"], (wrong, answer)
    assert not box.mails and not box.connections


def test_some_are_refused(sender, box):
    box.refuse = {"gone@shop.example": "550 5.1.1 no such user", "full@shop.example": "452 4.2.2 mailbox full"}
    people = ["gone@shop.example", "ada@shop.example", "full@shop.example"]
    strict, partial, nobody, later = send(sender(box.url), {**MAIL, "to": people}, {**MAIL, "to": people, "partial": True}, {**MAIL, "to": people[:1], "partial": True},
                                          {**MAIL, "to": people[2:]})
    assert strict["code"] == "mail.550" and strict["class"] == "permanent" and "gone@shop.example: 550 5.1.1 no such user" in strict["message"]
    assert partial["accepted"] == ["ada@shop.example"] and partial["refused"] == [{"address": "gone@shop.example", "reply": "550 5.1.1 no such user"},
                                                                                  {"address": "full@shop.example", "reply": "452 4.2.2 mailbox full"}]
    assert nobody["code"] == "mail.550" and later["code"] == "mail.452" and later["class"] == "transient"
    assert [mail.recipients for mail in box.mails] == [["ada@shop.example"]]


def test_a_server_says_no(sender, box):
    box.plan = ["451 4.3.0 try later", "554 5.7.1 spam"]
    engine = sender(box.url)
    later, never = send(engine, MAIL, MAIL)
    assert (later["code"], later["class"], never["code"], never["class"]) == ("mail.451", "transient", "mail.554", "permanent") and "5.7.1 spam" in never["message"]
    box.refuse_sender = "553 5.1.8 not yours"
    [answer] = send(engine, MAIL)
    assert answer["code"] == "mail.553" and not box.mails


WORKFLOW = """
name: tell
on: [{event: open.ping}]
steps:
  - {id: tell, uses: mail/send@1, MORE retry: {attempts: 5, delay: 10ms}, with: {to: [ada@shop.example], subject: Order, text: "Thank you."}}
"""


def ping(engine):
    assert engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})[0] == 202


def test_a_mail_that_is_tried_again_has_the_same_id(sender, box):
    box.plan = ["451 4.3.0 try later", "take and cut", "cut"]
    engine = sender(box.url)
    engine.write("workflows/tell.yaml", WORKFLOW.replace("MORE", ""))
    engine.start()
    ping(engine)
    [run] = engine.finished_runs(1)
    assert run["state"] == "succeeded" and run["steps"][0]["attempt"] == 4
    assert len(box.mails) == 2 and len({str(parse(mail.content)["message-id"]) for mail in box.mails}) == 1


@pytest.mark.parametrize("plan,state,mails", [(["take and cut"], "unknown", 1), (["451 4.3.0 try later"], "succeeded", 1), (["554 5.7.1 spam"], "failed", 0)], ids=["doubt", "later", "no"])
def test_at_most_once(sender, box, plan, state, mails):
    box.plan = plan
    engine = sender(box.url)
    engine.write("workflows/tell.yaml", WORKFLOW.replace("MORE", "guarantee: at_most_once,"))
    engine.start()
    ping(engine)
    [run] = engine.finished_runs(1)
    assert run["steps"][0]["state"] == state and len(box.mails) == mails, run


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_mail_that_nobody_waits_for_gives_up_its_connection(sender, box, how):
    begun = []

    async def hold():
        begun.append(1)
        await asyncio.sleep(3600)
    box.plan = ["250 OK", hold]
    engine = sender(box.url)
    first = "steps:\n  - {id: first, uses: mail/send@1, with: {to: [ada@shop.example], subject: First}}"
    second = WORKFLOW.replace("MORE", "timeout: 1h," if how == "cancel" else "timeout: 1s,").replace("attempts: 5", "attempts: 1").replace("subject: Order", "subject: \"${{ steps.first.reply }}\"")
    engine.write("workflows/tell.yaml", second.replace("steps:", first))
    engine.start()
    ping(engine)
    wait_for("the message", lambda: begun)
    if how == "cancel":
        engine.run("runs", "cancel", wait_for("its run", lambda: engine.rows("runs"))[0]["run"])
    [run] = engine.finished_runs(1)
    assert run["state"] == ("cancelled" if how == "cancel" else "failed"), run
    assert send(engine, MAIL)[0]["accepted"] == ["ada@shop.example"]
    assert not [line for line in engine.log if line.get("log") in ("plugin.unresponsive", "plugin.crashed")]


# ---- who is sent to ----

@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    dev_cert(folder, "localhost", "127.0.0.1")
    return folder / "tls"


def test_encryption(sender, pair, box):
    server = {"certificate": pair / "server.pem", "key": pair / "server.key"}
    trust = {"SSL_CERT_FILE": str(pair / "ca.pem")}
    with smtp.Mailbox(**server) as tls, smtp.Mailbox(**server, implicit=True) as implicit:
        for server_url, more, environment, code in [
            (tls.url, "", {}, None),                                     # loopback: encrypted if it can be, by whom does not matter
            (tls.url, "tls: required", {}, "mail.tls"),                  # nobody vouches for it
            (tls.url, "tls: required", trust, None),
            (implicit.url, "tls: required", trust, None),
            (implicit.url, "tls: required", {}, "mail.tls"),
            (box.url, "tls: required", trust, "mail.tls"),               # it offers none
        ]:
            [answer] = send(sender(server_url, more, **environment), MAIL)
            assert answer.get("code") == code, (more, environment, answer)
        assert [mail.is_encrypted for mail in tls.mails] == [True, True] and len(implicit.mails) == 1 and not box.mails


def test_logins(sender, pair):
    with smtp.Mailbox(pair / "server.pem", pair / "server.key", users={"shop": "m4il-p4ssw0rd"}) as box:
        good = "user: shop, password: {secret: MAIL_PASSWORD}, tls: required"
        [answer] = send(sender(box.url, good, SSL_CERT_FILE=str(pair / "ca.pem")), MAIL)
        assert answer["accepted"] == ["ada@shop.example"] and box.mails[0].user == "shop" and box.mails[0].is_encrypted
        [answer] = send(sender(box.url, good, SSL_CERT_FILE=str(pair / "ca.pem"), MAIL_PASSWORD="wr0ng-p4ss"), MAIL)
        assert answer["code"] in ("mail.auth", "mail.535") and answer["class"] == "permanent" and "wr0ng" not in json.dumps(answer)
        [answer] = send(sender(box.url), MAIL)
        assert answer["code"] == "mail.530"


def test_private_addresses_are_refused_unless_allowed(sender, box):
    engine = sender(box.url)
    engine.write("bellwire.yaml", (engine.folder / "bellwire.yaml").read_text().replace("allow_private_network: true", ""))
    [answer] = send(engine, MAIL)
    assert answer["code"] == "mail.address_denied" and not box.connections


@pytest.mark.parametrize("config,says", [("server: mail.example", "server must be like"), ("server: \"smtp://a@b.example\"", "server must be like"), ("server: \"smtp://b.example/x\"", "server must be like"),
                                         ("server: \"smtp://b.example\", from: Shop", "from: an address is like"), ("server: \"smtp://b.example\", hello: a b", "hello must be")])
def test_a_configuration_that_cannot_be_is_refused(sender, config, says):
    engine = sender("x")
    engine.write("bellwire.yaml", f"configure: {{mail: {{{config}}}}}\n")
    result = engine.run("check", check=False)
    assert result.returncode == 1 and says in result.stderr, result.stderr


def test_the_example_of_the_readme(make_engine, pair):
    engine = make_engine()
    with smtp.Mailbox(pair / "server.pem", pair / "server.key", users={"shop": "m4il-p4ssw0rd"}) as box:
        for name, text in re.findall(r"^```yaml (\S+)\n(.*?)^```$", (ROOT / "plugins" / "mail" / "README.md").read_text(), re.M | re.S):
            text = text.replace("smtp://mail.shop.example:587", box.url)
            engine.write(name, "listen: [http://127.0.0.1:0]\nallow_private_network: true\n" + text if name == "bellwire.yaml" else text)
        engine.env["MAIL_PASSWORD"] = "m4il-p4ssw0rd"
        engine.start()
        assert engine.request("POST", "/in/shop", b'{"email": "Ada <ada@shop.example>", "id": 7}', {"Content-Type": "application/json"})[0] == 202
        [run] = engine.finished_runs(1)
        assert run["state"] == "succeeded", run
        [mail] = box.mails
        assert mail.is_encrypted and str(parse(mail.content)["subject"]) == "Your order 7" and mail.recipients == ["ada@shop.example"]


def test_many_mails_at_once(sender, box):
    engine = sender(box.url)
    engine.write("workflows/many.yaml", """
name: many
on: [{event: open.ping}]
steps:
  - id: all
    foreach: "${{ event.data.items }}"
    concurrency: 200
    steps:
      - {id: one, uses: mail/send@1, with: {to: ["a${{ item }}@shop.example"], subject: Hello}}
""")
    engine.start()
    assert engine.request("POST", "/in/open", json.dumps({"items": list(range(100))}).encode(), {"Content-Type": "application/json"})[0] == 202
    [run] = engine.finished_runs(1, "--workflow", "many")
    assert run["state"] == "succeeded" and sorted(mail.recipients for mail in box.mails) == sorted([f"a{n}@shop.example"] for n in range(100))


def test_the_plugin_keeps_the_contract(sender, box):
    engine = sender(box.url)
    engine.write("calls.yaml", "calls: [{action: mail/send, with: {to: [ada@shop.example], subject: Hello, text: There}}]\n")
    said = engine.run("plugin", "test", BUILD / "plugins" / "when-configured" / "mail.so", "--config", "bellwire.yaml", "--calls", "calls.yaml", "--repeat", "50").stdout
    assert not re.findall("^not ok", said, re.M) and len(box.mails) > 50, said
