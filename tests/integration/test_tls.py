"""https listeners: what is spoken and what is not, certificates by name, clients with certificates, reloads under load, doors that nobody can block."""
import datetime
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import ROOT, wait_for

SOURCES = """
sources:
  open: {path: /in/open, verify: none, event: ping}
"""
CONFIG = "listen: [https://127.0.0.1:0]\ntls: {cert: tls/server.pem, key: tls/server.key}\n" + SOURCES
ONE_STEP = """
name: told
on: [{event: open.ping}]
steps:
  - {id: who, set: {client: "${{ event.headers['bellwire-client-subject'] or 'nobody' }}"}}
"""


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True, **options).stdout


def dev_cert(folder, *arguments):
    subprocess.run([ROOT / "scripts" / "dev-cert", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def instance(make_engine):
    def make(config=CONFIG, *names):
        engine = make_engine(config)
        engine.write("workflows/told.yaml", ONE_STEP)
        dev_cert(engine.folder, *names)
        return engine
    return make


def context(engine, client=None, **settings):
    made = ssl.create_default_context(cafile=str(engine.folder / "tls" / "ca.pem"))
    if client:
        made.load_cert_chain(str(engine.folder / "tls" / f"{client}.pem"), str(engine.folder / "tls" / f"{client}.key"))
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def dial(engine, made, name="localhost"):
    return made.wrap_socket(socket.create_connection(("127.0.0.1", engine.port), timeout=60), server_hostname=name)


def post(engine, made, body=b"{}", name="localhost", path="/in/open", headers=()):
    connection = http.client.HTTPSConnection("127.0.0.1", engine.port, timeout=60)
    connection.sock = dial(engine, made, name)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def client_of_last_run(engine):
    return engine.finished_runs(1)[0]["steps"][0]["output"]["client"]


def test_a_request_over_tls_becomes_an_event_and_send_knows_the_authority(instance):
    engine = instance()
    engine.start()
    assert post(engine, context(engine))[0] == 202
    url = f"https://localhost:{engine.port}/in/open"
    assert engine.run("send", "open", "--url", url, "--ca", "tls/ca.pem").stdout.startswith("202")
    refused = engine.run("send", "open", "--url", url, check=False)
    assert refused.returncode == 1 and "--ca" in refused.stderr
    assert client_of_last_run(engine) == "nobody"


def test_requests_follow_each_other_on_one_connection_also_large_and_pipelined_ones(instance):
    engine = instance("max_body: 2MiB\n" + CONFIG)
    engine.start()
    body = json.dumps({"filler": "x" * 1_500_000}).encode()
    head = b"POST /in/open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with dial(engine, context(engine)) as connection:
        for pipelined in (1, 1, 3):
            connection.sendall((head % len(body) + body) * pipelined)
            for _ in range(pipelined):
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                assert (answer.status, json.loads(answer.read())["status"]) == (202, "accepted")


def test_a_refused_request_is_answered_and_the_connection_ends_with_a_goodbye(instance):
    engine = instance()
    engine.start()
    with dial(engine, context(engine)) as connection:
        connection.sendall(b"POST /in/open HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["Connection"]) == (400, "close")
        answer.read()
        assert connection.recv(1) == b""  # without close_notify this would be ssl.SSLEOFError
    assert post(engine, context(engine), b"x" * 1_200_000)[0] == 413


def test_a_body_that_is_refused_half_way_is_answered_at_the_deadline(instance):
    """The refusal waits for the rest of a body that never comes; then it is answered, which goes past what reads the socket."""
    engine = instance("request_deadline: 1s\n" + CONFIG)
    engine.start()
    with dial(engine, context(engine)) as connection:
        connection.sendall(b"POST /in/open HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\nhello")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 413
    assert post(engine, context(engine))[0] == 202


def test_a_sender_cannot_say_who_it_is_by_a_header(instance):
    engine = instance()
    engine.start()
    post(engine, context(engine), headers={"Bellwire-Client-Subject": "CN=root"}.items())
    assert client_of_last_run(engine) == "nobody"


@pytest.mark.parametrize("arguments, good", [
    (["-tls1"], False), (["-tls1_1"], False), (["-tls1_2"], True), (["-tls1_3"], True),
    (["-tls1_2", "-cipher", "ECDHE+AESGCM"], True), (["-tls1_2", "-cipher", "ECDHE+CHACHA20"], True),
    (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], False),          # no forward secrecy
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], False),  # CBC
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], False), (["-tls1_2", "-cipher", "NULL:aNULL"], False),
    (["-tls1_3", "-groups", "X25519"], True), (["-tls1_3", "-groups", "P-256"], True), (["-tls1_3", "-groups", "P-521"], False),
])
def test_what_is_spoken(instance, arguments, good):
    engine = instance()
    engine.start()
    result = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{engine.port}", "-CAfile", "tls/ca.pem", "-verify_return_error",
                             *[word if word != "NULL:aNULL" else "NULL:aNULL:@SECLEVEL=0" for word in arguments]],
                            cwd=engine.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (result.returncode == 0) == good, result.stdout + result.stderr


def test_no_renegotiation_no_compression_no_early_data(instance):
    engine = instance()
    engine.start()
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{engine.port}", "-CAfile", "tls/ca.pem"]
    asked = subprocess.run([*command, "-tls1_2"], cwd=engine.folder, input="R\n", capture_output=True, text=True, timeout=60)
    assert "RENEGOTIATING" in asked.stdout + asked.stderr and "no renegotiation" in asked.stderr
    seen = subprocess.run([*command, "-tls1_3"], cwd=engine.folder, input="", capture_output=True, text=True, timeout=60).stdout
    assert "Compression: NONE" in seen and "Early data was not sent" in seen
    assert "Max Early Data: 0" in seen or "Max Early Data" not in seen


def test_the_certificate_is_chosen_by_name(instance):
    engine = instance("""
listen: [https://127.0.0.1:0]
tls:
  certificates:
    - {cert: tls/server.pem, key: tls/server.key}
    - {cert: more/server.pem, key: more/server.key}
""" + SOURCES, "localhost")
    (engine.folder / "more").mkdir()
    for name in ("ca.pem", "ca.key"):
        (engine.folder / "more" / name).write_bytes((engine.folder / "tls" / name).read_bytes())
    dev_cert(engine.folder, "--folder", "more", "hooks.example", "*.wild.example")
    engine.start()
    for name, common in (("localhost", "localhost"), ("hooks.example", "hooks.example"), ("a.wild.example", "hooks.example")):
        with dial(engine, context(engine), name) as connection:
            assert dict(part[0] for part in connection.getpeercert()["subject"])["commonName"] == common
    with pytest.raises(ssl.SSLCertVerificationError):  # the first one is shown, and is not that name's
        dial(engine, context(engine), "other.example")


# ---- reloads ----

def serial_of(engine):
    with dial(engine, context(engine)) as connection:
        return connection.getpeercert()["serialNumber"]


def test_a_hundred_reloads_under_load_fail_no_handshake(instance):
    engine = instance()
    serials = {}
    for name in ("first", "second"):
        dev_cert(engine.folder)
        shutil.copytree(engine.folder / "tls", engine.folder / name)
        serials[name] = openssl("x509", "-in", str(engine.folder / name / "server.pem"), "-noout", "-serial").strip().split("=")[1]
    engine.start()
    stop, wrong, done = threading.Event(), [], [0, 0, 0]

    def knock(number):
        made = context(engine)
        while not stop.is_set():
            try:
                status, _ = post(engine, made)
                if status != 202:
                    wrong.append(status)
            except Exception as error:
                wrong.append(repr(error))
            done[number] += 1
    threads = [threading.Thread(target=knock, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        for name in ("second", "first"):
            for suffix in ("key", "pem"):
                shutil.copy(engine.folder / name / f"server.{suffix}", engine.folder / "tls" / f"new.{suffix}")
                os.replace(engine.folder / "tls" / f"new.{suffix}", engine.folder / "tls" / f"server.{suffix}")
            engine.process.send_signal(signal.SIGHUP)
            wait_for("the new certificate", lambda: serial_of(engine) == serials[name])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong and min(done) > 0
    failed = [line for line in engine.log if line.get("log") in ("tls.handshake_failed", "tls.not_loaded")]
    failed = [line for line in failed if line.get("code") != "tls.mismatch"]  # on a busy machine it may look twice while only the key is the new one
    assert not failed, failed[:5]


def test_changed_files_are_read_by_themselves_and_bad_ones_change_nothing(instance):
    engine = instance()
    engine.start()
    first = serial_of(engine)
    dev_cert(engine.folder)
    engine.wait_log("tls.loaded")
    second = serial_of(engine)
    assert second != first
    engine.write("tls/server.pem", "nonsense")
    line = engine.wait_log("tls.not_loaded", code="tls.unreadable")
    assert line["file"].endswith("tls/server.pem")
    assert serial_of(engine) == second
    dev_cert(engine.folder)
    wait_for("good files again", lambda: serial_of(engine) not in (first, second))
    other = engine.write("other.key", openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), 0o600)
    third = serial_of(engine)
    os.replace(other, engine.folder / "tls" / "server.key")
    engine.wait_log("tls.not_loaded", code="tls.mismatch")
    assert serial_of(engine) == third


def test_a_reload_changes_the_keys_of_session_tickets(instance):
    engine = instance()
    engine.start()
    made = context(engine, maximum_version=ssl.TLSVersion.TLSv1_2)

    def resumes(session):
        with made.wrap_socket(socket.create_connection(("127.0.0.1", engine.port)), server_hostname="localhost", session=session) as connection:
            return connection.session_reused, connection.session
    _, session = resumes(None)
    assert resumes(session)[0]
    engine.process.send_signal(signal.SIGHUP)
    engine.wait_log("tls.loaded")
    assert not resumes(session)[0]


@pytest.mark.parametrize("name, text, mode, code", [
    ("tls/server.key", None, 0o644, "tls.key_readable"),
    ("tls/server.key", "nonsense", 0o600, "tls.unreadable"),
    ("tls/server.pem", "nonsense", 0o600, "tls.unreadable"),
    ("tls/server.pem", False, None, "tls.unreadable"),
])
def test_what_cannot_be_used_is_told_by_check_and_at_start(instance, name, text, mode, code):
    engine = instance()
    path = engine.folder / name
    if text is False:
        path.unlink()
    else:
        path.write_text(path.read_text() if text is None else text)
        path.chmod(mode)
    told = [json.loads(line) for line in engine.run("check", "--json", check=False).stdout.splitlines()]
    assert [error["code"] for error in told] == [code] and told[0]["file"].endswith(name) and told[0]["hint"]
    engine.start(wait=False)
    assert engine.ended() == 1
    assert any(line.get("code") == code for line in engine.log)


@pytest.mark.parametrize("config, code, line", [
    ("listen: [https://127.0.0.1:0]\n", "listen.no_certificate", 1),
    ("tls: {cert: a.pem}\n", "tls.incomplete", 1),
    ("tls:\n  cert: a.pem\n  key: a.key\n  certificates: [{cert: a.pem, key: a.key}]\n", "tls.certificates", 4),
    ("tls:\n  certificates: []\n", "config.type", 2),
    ("tls:\n  certificates:\n    - {cert: a.pem, kez: a.key}\n", "config.unknown_key", 3),
    ("tls: {cert: a.pem, key: a.key, clients: {names: [x]}}\n", "tls.incomplete", 1),
    ("tls: {cert: a.pem, key: a.key, clients: {ca: ca.pem, names: []}}\n", "config.type", 1),
    ("listen: [http://0.0.0.0:8080]\n", "listen.plaintext", 1),
])
def test_wrong_configurations_are_told_with_their_place(make_engine, config, code, line):
    engine = make_engine(config)
    told = [json.loads(text) for text in engine.run("check", "--json", check=False).stdout.splitlines()]
    assert (told[0]["code"], told[0]["line"]) == (code, line)


# ---- clients ----

def client_files(engine, name, extensions, *signing, days=None, authority="tls/ca"):
    """A certificate whose extensions and dates are told; days: (from, until) from today on."""
    path = engine.folder / "tls" / name
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{path}.key")
    openssl("req", "-new", "-key", f"{path}.key", "-subj", f"/O=Erp Ltd/CN={name}", "-out", f"{path}.csr")
    now = datetime.datetime.now(datetime.timezone.utc)
    first, last = [(now + datetime.timedelta(days=day)).strftime("%Y%m%d%H%M%SZ") for day in days or (-1, 30)]
    work = engine.folder / "work" / name
    work.mkdir(parents=True)
    (work / "index.txt").touch()
    (work / "ca.conf").write_text(f"[ca]\ndefault_ca=it\n[it]\ndatabase={work}/index.txt\nnew_certs_dir={work}\nserial={work}/serial\npolicy=any\n"
                                  f"default_md=sha256\nunique_subject=no\n[any]\nO=optional\nCN=supplied\n[ext]\n" + "\n".join(extensions) + "\n")
    openssl("ca", "-batch", "-config", f"{work}/ca.conf", "-rand_serial", "-cert", str(engine.folder / f"{authority}.pem"), "-keyfile",
            str(engine.folder / f"{authority}.key"), "-startdate", first, "-enddate", last, "-extensions", "ext", "-in", f"{path}.csr", "-out",
            f"{path}.pem", "-notext", *signing)
    return path


def is_let_in(engine, client):
    try:
        return post(engine, context(engine, client))[0] == 202
    except (ssl.SSLError, ConnectionError, http.client.HTTPException):
        return False


def test_clients_without_a_good_certificate_stay_outside(instance):
    engine = instance("""
listen: [https://127.0.0.1:0]
tls:
  cert: tls/server.pem
  key: tls/server.key
  clients: {ca: tls/ca.pem, crl: tls/crl.pem, names: [erp.example, other.example]}
""" + SOURCES)
    usual = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth"]
    named = usual + ["subjectAltName=DNS:erp.example"]
    client_files(engine, "good", named)
    client_files(engine, "expired", named, days=(-10, -1))
    client_files(engine, "early", named, days=(1, 10))
    client_files(engine, "server_only", ["extendedKeyUsage=serverAuth", "subjectAltName=DNS:erp.example"])
    client_files(engine, "other_name", usual + ["subjectAltName=DNS:evil.example"])
    revoked = client_files(engine, "revoked", named)
    (engine.folder / "foreign").mkdir()
    dev_cert(engine.folder, "--folder", "foreign")
    client_files(engine, "foreign", named, authority="foreign/ca")
    # ten authorities in a row
    chain, above = "", "tls/ca"
    for depth in range(10):
        path = client_files(engine, f"deep{depth}", ["basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign,cRLSign"], authority=above)
        chain, above = path.with_suffix(".pem").read_text() + chain, f"tls/deep{depth}"
    deep = client_files(engine, "deep", named, authority=above)
    deep.with_suffix(".pem").write_text(deep.with_suffix(".pem").read_text() + chain)
    work = engine.folder / "work" / "revoked"
    arguments = ["-config", f"{work}/ca.conf", "-cert", str(engine.folder / "tls/ca.pem"), "-keyfile", str(engine.folder / "tls/ca.key")]
    openssl("ca", *arguments, "-revoke", f"{revoked}.pem")
    (engine.folder / "tls" / "crl.pem").write_text(openssl("ca", *arguments, "-gencrl", "-crldays", "30"))
    engine.start()
    let_in = {name: is_let_in(engine, name) for name in ("good", "expired", "early", "server_only", "other_name", "revoked", "foreign", "deep", None)}
    assert let_in == {name: name == "good" for name in let_in}
    assert client_of_last_run(engine) == "CN=good,O=Erp Ltd"
    assert engine.wait_log("tls.handshake_failed")["alert"]


def test_where_certificates_are_not_required_those_without_come_in_and_bad_ones_do_not(instance):
    engine = instance("""
listen: [https://127.0.0.1:0]
tls: {cert: tls/server.pem, key: tls/server.key, clients: {ca: tls/ca.pem, required: false}}
""" + SOURCES)
    dev_cert(engine.folder, "--client", "erp")
    (engine.folder / "foreign").mkdir()
    dev_cert(engine.folder, "--folder", "foreign", "--client", "evil")
    for suffix in ("pem", "key"):
        os.rename(engine.folder / "foreign" / f"client-evil.{suffix}", engine.folder / "tls" / f"client-evil.{suffix}")
    engine.start()
    assert is_let_in(engine, None)
    assert client_of_last_run(engine) == "nobody"
    assert not is_let_in(engine, "client-evil")
    assert is_let_in(engine, "client-erp")
    runs = engine.finished_runs(2)
    assert runs[0]["steps"][0]["output"]["client"] == "CN=erp"


# ---- doors that nobody can block ----

def test_handshakes_that_do_not_come_to_an_end_are_cut_and_disturb_nobody(instance):
    engine = instance("request_deadline: 2s\n" + CONFIG)
    engine.start()
    silent = [socket.create_connection(("127.0.0.1", engine.port), timeout=60) for _ in range(300)]
    for number, connection in enumerate(silent):
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[: number % 8])  # the beginning of a hello, cut at each byte
    assert post(engine, context(engine))[0] == 202
    for connection in silent:
        assert connection.recv(100) == b""
        connection.close()
    assert post(engine, context(engine))[0] == 202


def test_who_speaks_no_tls_is_turned_away_and_disturbs_nobody(instance):
    engine = instance()
    engine.start()
    for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x80\x2e\x01\x00\x02" + b"\0" * 60, bytes(range(256)) * 40):
        with socket.create_connection(("127.0.0.1", engine.port), timeout=60) as connection:
            connection.sendall(noise)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert post(engine, context(engine))[0] == 202


def test_https_and_http_beside_each_other(instance):
    engine = instance(CONFIG.replace("[https://127.0.0.1:0]", "[https://127.0.0.1:0, http://127.0.0.1:0]"))
    engine.start()
    wait_for("both addresses", lambda: len([line for line in engine.log if line.get("log") == "engine.listening"]) == 2)
    urls = {line["url"].split(":")[0]: int(line["url"].rsplit(":", 1)[1]) for line in engine.log if line.get("log") == "engine.listening"}
    engine.port = urls["http"]
    assert engine.request("POST", "/in/open", b"{}", {"Content-Type": "application/json"})[0] == 202
    engine.port = urls["https"]
    assert post(engine, context(engine))[0] == 202
