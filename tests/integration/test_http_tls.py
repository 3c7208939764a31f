"""The http plugin's own certificates and authorities, against nginx, and its way out by a proxy: TLS goes through it from end to end."""
import json
import os
import shutil
import socket
import subprocess

import pytest

from conftest import CONFIG, wait_for
from fakes.oauth2 import CLIENT, OAuth2
from fakes.proxy import Proxy
from steps import run_steps
from test_tls import client_files, dev_cert, openssl

CLIENT_USE = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth"]
SERVER_USE = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth", "subjectAltName=DNS:localhost"]
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access.log; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} ssl {http2};
    ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key; ssl_protocols {protocols};
    ssl_client_certificate {tls}/clients.pem; ssl_verify_client on;
    location / {{ default_type application/json; return 200 '{{"who":"$ssl_client_s_dn","by":"$ssl_protocol"}}'; }}
  }}
}}
"""


@pytest.fixture
def made(make_engine):
    """An instance, an authority for the server, and another one for clients."""
    engine = make_engine()
    tls = engine.folder / "tls"
    dev_cert(engine.folder)
    client_files(engine, "server", SERVER_USE)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{tls}/clients.key", "-out", f"{tls}/clients.pem",
            "-subj", "/CN=clients", "-days", "30", "-addext", "basicConstraints=critical,CA:TRUE")
    client_files(engine, "desk", CLIENT_USE, authority="tls/clients")
    client_files(engine, "stranger", CLIENT_USE)  # of the authority that is for servers
    return engine


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def nginx(request, made):
    folder = made.folder / "nginx"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, tls=made.folder / "tls", port=port, protocols=request.param, http2="http2" if request.param == "TLSv1.3" else ""))
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        pytest.skip("nginx is not installed: scripts/install test")
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(conf), "-e", "stderr"], stderr=subprocess.PIPE)

    def listens():
        assert process.poll() is None, process.stderr.read().decode()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_for("nginx", listens)
    yield f"https://localhost:{port}", request.param
    process.terminate()
    process.communicate()


def tell(engine, base_url, tls, files, proxy=None):
    """files: secret → file in tls/."""
    named = {name: {"file": f"tls/{file}"} for name, file in files.items()}
    for file in files.values():
        (engine.folder / "tls" / file).chmod(0o600)
    one = {"name": "one", "base_url": base_url, "tls": {part: {"secret": name} for part, name in tls.items()}, **({"proxy": {"url": proxy}} if proxy else {})}
    engine.write("bellwire.yaml", CONFIG + f"secrets: {json.dumps(named)}\nconfigure: {json.dumps({'http': {'connections': [one]}})}\n")


def ask(engine, attempts=1, **more):
    [end], said = run_steps(engine, ("http/request@1", {"url": "/", "connection": "one", **more}), attempts=attempts)
    for file in (engine.folder / "tls").glob("*.key"):
        assert file.read_text().split("\n")[1] not in said
    return end.get("output", {}).get("json") or end["error"]


ALL = {"ca": "CA", "certificate": "CERT", "key": "KEY"}


def test_a_client_says_who_it_is(made, nginx):
    url, protocol = nginx
    tell(made, url, ALL, {"CA": "ca.pem", "CERT": "desk.pem", "KEY": "desk.key"})
    assert ask(made) == {"who": "CN=desk,O=Erp Ltd", "by": protocol}
    assert ask(made, method="POST", json={"n": 1})["who"] == "CN=desk,O=Erp Ltd"


def test_an_encrypted_key_needs_its_password_and_nobody_is_asked_for_it(made, nginx):
    tls = made.folder / "tls"
    openssl("pkcs8", "-topk8", "-in", f"{tls}/desk.key", "-out", f"{tls}/locked.key", "-passout", "pass:open-the-key")
    (tls / "word").write_text("open-the-key\n")
    files = {"CA": "ca.pem", "CERT": "desk.pem", "KEY": "locked.key", "WORD": "word"}
    tell(made, nginx[0], {**ALL, "key_password": "WORD"}, files)
    assert ask(made)["who"] == "CN=desk,O=Erp Ltd"
    tell(made, nginx[0], ALL, {name: files[name] for name in ALL.values()})
    error = ask(made, attempts=2)
    assert error["code"] == "http.network" and error["class"] == "permanent", error


def test_who_shows_nothing_or_what_is_not_wanted_is_told_so(made, nginx):
    tell(made, nginx[0], {"ca": "CA"}, {"CA": "ca.pem"})
    error = ask(made)
    assert error["code"] == "http.status" and "400" in error["message"], error
    tell(made, nginx[0], ALL, {"CA": "ca.pem", "CERT": "stranger.pem", "KEY": "stranger.key"})
    assert ask(made)["code"] == "http.status"


def test_the_configured_authority_is_the_only_one(made, nginx):
    known = made.folder / "known"
    known.mkdir()
    shutil.copy(made.folder / "tls" / "ca.pem", known)
    openssl("rehash", str(known))
    made.env.update(SSL_CERT_FILE=str(known / "ca.pem"), SSL_CERT_DIR=str(known))
    tell(made, nginx[0], {part: name for part, name in ALL.items() if part != "ca"}, {"CERT": "desk.pem", "KEY": "desk.key"})
    assert ask(made)["who"] == "CN=desk,O=Erp Ltd"
    tell(made, nginx[0], ALL, {"CA": "clients.pem", "CERT": "desk.pem", "KEY": "desk.key"})
    error = ask(made, attempts=2)
    assert (error["code"], error["class"]) == ("http.network", "permanent") and "localhost" in error["message"], error


@pytest.mark.parametrize("files", [{"CA": "ca.pem", "CERT": "desk.key", "KEY": "desk.key"}, {"CA": "ca.pem", "CERT": "desk.pem", "KEY": "stranger.key"},
                                   {"CA": "desk.key", "CERT": "desk.pem", "KEY": "desk.key"}], ids=["no_certificate", "another_key", "no_authority"])
def test_files_that_are_not_what_they_should_be(made, files):
    with socket.create_server(("127.0.0.1", 0)) as server:  # nobody answers: nothing gets that far
        tell(made, f"https://localhost:{server.getsockname()[1]}", ALL, files)
        error = ask(made, attempts=2, timeout="20s")
        assert (error["code"], error["class"]) == ("http.network", "permanent"), error


# ---- by a proxy ----

def test_tls_goes_through_a_proxy_from_end_to_end(made, nginx):
    with Proxy() as proxy:
        tell(made, nginx[0], ALL, {"CA": "ca.pem", "CERT": "desk.pem", "KEY": "desk.key"}, proxy=proxy.url)
        assert ask(made, method="POST", json=1)["who"] == "CN=desk,O=Erp Ltd"
        assert proxy.seen == [("CONNECT", nginx[0].removeprefix("https://"))]
        assert not {"authorization", "idempotency-key", "cookie"} & set(proxy.heads[0])


@pytest.mark.parametrize("status, cls", [(403, "permanent"), (407, "permanent"), (502, "transient")])
def test_what_a_proxy_refuses_was_not_sent(made, status, cls):
    with Proxy(*(("ada", "word") if status == 407 else ())) as proxy:
        proxy.refused["localhost:1"] = status
        tell(made, "https://localhost:1", {"ca": "CA"}, {"CA": "ca.pem"}, proxy=proxy.url)
        step = {"id": "s", "uses": "http/request@1", "guarantee": "at_most_once", "retry": {"attempts": 2, "delay": "1ms"},
                "with": {"url": "/", "connection": "one", "method": "POST", "json": 1}}
        made.write("workflows/w.yaml", json.dumps({"name": "w", "on": [{"manual": True}], "steps": [step]}))
        rows = [json.loads(line) for line in made.run("run", "w", "--json", check=False).stdout.splitlines()]
        end = [row for row in rows if row.get("what") == "step_finished"][-1]
        assert (end["error"]["code"], end["error"]["class"]) == ("http.proxy", cls) and str(status) in end["error"]["message"], end
        assert end["attempt"] == len(proxy.seen) == (2 if cls == "transient" else 1)


def test_a_token_is_fetched_by_the_same_way(made):
    with OAuth2() as vendor, Proxy() as proxy:
        made.env["SECRET"] = "s3cret:with/odd+chars %"
        one = {"name": "one", "base_url": vendor.url + "/api", "proxy": {"url": proxy.url},
               "auth": {"oauth2": {"token_url": vendor.url + "/token", "client_id": CLIENT, "client_secret": {"secret": "SECRET"}}}}
        made.write("bellwire.yaml", CONFIG + f"secrets: {{SECRET: {{env: SECRET}}}}\nconfigure: {json.dumps({'http': {'connections': [one]}})}\n")
        assert ask(made, url="/orders")["you"].startswith("Bearer ")
        assert [target.removeprefix(vendor.url) for _, target in proxy.seen] == ["/token", "/api/orders"]
