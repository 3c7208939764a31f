"""Servers that a step must not trust: each call fails, with a reason, and what it was to send stays here. A good server is the proof that the others fail for what is wrong with them."""
import json
import socket
import ssl
import threading

import pytest

from conftest import wait_for
from test_tls import client_files, dev_cert, openssl

WORKFLOW = """
name: call
on: [{event: open.ping}]
steps:
  - id: ask
    retry: {attempts: 1}
    timeout: %s
    with: {url: "%s"}
    lua: |
      local r = ctx.http{url = input.url, method = "POST", body = "a secret of ours"}
      return {status = r.status, length = #r.body}
"""
PLUGIN = """
name: call
on: [{event: open.ping}]
steps:
  - {id: ask, retry: {attempts: 1}, timeout: %s, uses: http/request@1, with: {url: "%s", method: POST, body: "a secret of ours"}}
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SERVER = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth"]
LOCALHOST = SERVER + ["subjectAltName=DNS:localhost"]


class Server:
    """One certificate; says `answer` to whoever gets as far as to send a request. ends: how it closes ("goodbye", "cut", "stays")."""

    def __init__(self, pair, answer=OK, ends="goodbye", settings=lambda made: None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        settings(self.context)
        self.context.load_cert_chain(f"{pair}.pem", f"{pair}.key")
        self.answer, self.ends = answer, ends
        self.requests, self.open = [], []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.talk, args=(plain,), daemon=True).start()

    def talk(self, plain):
        try:
            plain.settimeout(60)
            connection = self.context.wrap_socket(plain, server_side=True)
            request = connection.recv(65536)  # nothing: to the server of TLS 1.3 the handshake was over before the client had its doubts
            self.requests += [request] if request else []
            for part in self.answer if isinstance(self.answer, list) else [self.answer]:
                connection.sendall(part)
            if self.ends == "goodbye":
                connection.unwrap()
            elif self.ends == "stays":
                self.open.append(connection)
                return
            connection.close()
        except OSError:
            plain.close()


@pytest.fixture
def instance(make_engine):
    engine = make_engine()
    dev_cert(engine.folder)
    engine.env["SSL_CERT_FILE"] = str(engine.folder / "tls" / "ca.pem")
    return engine


def call(engine, server, host="localhost", timeout="60s", workflow=WORKFLOW):
    engine.write("workflows/call.yaml", workflow % (timeout, f"https://{host}:{server.port}/x"))
    engine.start()
    assert engine.request("POST", "/in/open", b"{}")[0] == 202
    step = engine.finished_runs(1)[0]["steps"][0]
    server.socket.close()
    return step


def refused(engine, server, why, code="http.network", **how):
    """Nothing that the step sends reaches it."""
    step = call(engine, server, **how)
    assert step["state"] == "failed" and step["error"]["code"] == code
    assert why in step["error"]["message"], step["error"]
    assert server.requests == []


def test_a_good_server_is_trusted_by_its_authority(instance):
    step = call(instance, Server(client_files(instance, "good", LOCALHOST)))
    assert step["state"] == "succeeded" and step["output"]["status"] == 200


def test_a_good_server_has_its_address_in_the_list_of_names(instance):
    step = call(instance, Server(client_files(instance, "address", SERVER + ["subjectAltName=IP:127.0.0.1"])), host="127.0.0.1")
    assert step["state"] == "succeeded" and step["output"]["status"] == 200


@pytest.mark.parametrize("extensions, days, why", [
    (LOCALHOST, (-10, -1), "expired"),
    (LOCALHOST, (1, 10), "not yet valid"),
    (SERVER + ["subjectAltName=DNS:other.example"], None, "localhost"),
    (SERVER + ["subjectAltName=DNS:*"], None, "localhost"),
    (SERVER + ["subjectAltName=DNS:*.localhost"], None, "localhost"),
    (SERVER + ["subjectAltName=DNS:local*"], None, "localhost"),
    (["extendedKeyUsage=clientAuth", "subjectAltName=DNS:localhost"], None, "purpose"),
], ids=["expired", "early", "other_name", "star", "star_below", "star_within", "for_clients"])
def test_a_certificate_that_is_not_good(instance, extensions, days, why):
    refused(instance, Server(client_files(instance, "bad", extensions, days=days)), why)


def test_a_certificate_without_names_is_nobodys(instance):
    """Its subject is no name: "CN=localhost" was one long ago."""
    refused(instance, Server(client_files(instance, "localhost", SERVER)), "localhost")


def test_an_address_in_the_subject_is_no_address(instance):
    refused(instance, Server(client_files(instance, "127.0.0.1", SERVER)), "127.0.0.1", host="127.0.0.1")


def test_who_has_signed_itself(instance):
    pair = instance.folder / "tls" / "self"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{pair}.key", "-out", f"{pair}.pem", "-days", "10",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    refused(instance, Server(pair), "self-signed certificate")


def test_an_authority_that_nobody_knows(instance):
    (instance.folder / "foreign").mkdir()
    dev_cert(instance.folder, "--folder", "foreign")
    refused(instance, Server(client_files(instance, "stranger", LOCALHOST, authority="foreign/ca")), "unable to get local issuer certificate")


def test_a_signature_by_sha1(instance):
    pair = client_files(instance, "sha1", LOCALHOST, "-md", "sha1")
    refused(instance, Server(pair, settings=lambda made: made.set_ciphers("DEFAULT:@SECLEVEL=0")), "too weak")


def test_a_server_that_speaks_tls_1_1_at_most(instance):
    def old(made):
        made.set_ciphers("DEFAULT:@SECLEVEL=0")
        made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    refused(instance, Server(client_files(instance, "old", LOCALHOST), settings=old), "version")


@pytest.mark.parametrize("answer, ends", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "goodbye"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "cut"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "goodbye"),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "cut"),
    (b"HTTP/1.1 200 OK\r\nContent-Le", "goodbye"),
], ids=["short_body", "short_body_cut", "chunks_without_end", "no_goodbye", "half_a_head"])
def test_an_answer_that_is_not_whole_is_none(instance, answer, ends):
    step = call(instance, Server(client_files(instance, "good", LOCALHOST), answer, ends))
    assert step["state"] == "failed" and step["error"]["code"] == "http.network", step


@pytest.mark.parametrize("answer, ends", [
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "goodbye"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "cut"),
    (OK, "cut"),
], ids=["goodbye", "chunks", "length"])
def test_an_answer_whose_end_is_told_is_whole(instance, answer, ends):
    step = call(instance, Server(client_files(instance, "good", LOCALHOST), answer, ends))
    assert step["state"] == "succeeded" and step["output"] == {"status": 200, "length": 2}, step


def test_an_answer_that_never_ends_is_cut_by_the_steps_timeout(instance):
    server = Server(client_files(instance, "good", LOCALHOST), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "stays")
    step = call(instance, server, timeout="1s")
    assert step["state"] == "failed" and "timeout" in step["error"]["code"], step


@pytest.mark.parametrize("head", [
    [b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 1_000_000, b"\r\nContent-Length: 2\r\n\r\n{}"],
    [b"HTTP/1.1 200 OK\r\n"] + [b"X-Many: %05d\r\n" % n * 100 for n in range(2000)] + [b"Content-Length: 2\r\n\r\n{}"],
], ids=["one_header", "many_headers"])
def test_a_head_without_a_bound_is_no_answer(instance, head):
    step = call(instance, Server(client_files(instance, "good", LOCALHOST), head))
    assert step["state"] == "failed", json.dumps(step)[:2000]
    assert wait_for("a sound engine", lambda: instance.request("POST", "/in/open", b"{}")[0] == 202)


# ---- the same of the bundled plugin, which has a libcurl of its own ----

def test_the_plugin_trusts_a_good_server(instance):
    step = call(instance, Server(client_files(instance, "good", LOCALHOST), b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}"), workflow=PLUGIN)
    assert step["state"] == "succeeded" and step["output"]["body"] == "{}", step


@pytest.mark.parametrize("name, extensions, host", [
    ("localhost", SERVER, "localhost"), ("127.0.0.1", SERVER, "127.0.0.1"), ("bad", SERVER + ["subjectAltName=DNS:other.example"], "localhost"),
], ids=["subject", "address_in_subject", "other_name"])
def test_the_plugin_sends_nothing_to_a_stranger(instance, name, extensions, host):
    refused(instance, Server(client_files(instance, name, extensions)), host, host=host, workflow=PLUGIN)


@pytest.mark.parametrize("answer, ends", [(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "cut"), (b"HTTP/1.1 200 OK\r\nContent-Le", "goodbye")],
                         ids=["no_goodbye", "half_a_head"])
def test_the_plugin_takes_no_answer_that_is_not_whole(instance, answer, ends):
    step = call(instance, Server(client_files(instance, "good", LOCALHOST), answer, ends), workflow=PLUGIN)
    assert step["state"] == "failed" and step["error"]["code"] == "http.network", step
