"""bellwire verify: what a file says of a captured request besides its signature."""
import base64
import hashlib
import hmac
import json
import subprocess
import time

import pytest

BODY = '{"webhook_type":"ITEM","webhook_code":"ERROR"}'


def judged(engine, vector, *options):
    engine.write("captured.json", json.dumps(vector))
    [line] = engine.run("verify", "captured.json", "--json", *options, check=False).stdout.splitlines()
    line = json.loads(line)
    return line["verdict"], line["reason"]


def made_by_openssl(folder, *arguments, text=b""):
    return subprocess.run(["openssl", *arguments], cwd=folder, check=True, input=text, capture_output=True).stdout


def plain(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def raw_signature(der, size=32):
    """Two INTEGERs of DER as so many bytes each."""
    out, at = b"", 2 + (der[1] == 0x81)
    for _ in range(2):
        length = der[at + 1]
        out += der[at + 2:at + 2 + length].lstrip(b"\0").rjust(size, b"\0")
        at += 2 + length
    return out


@pytest.fixture
def plaid(tmp_path):
    made_by_openssl(tmp_path, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem")
    point = made_by_openssl(tmp_path, "ec", "-in", "key.pem", "-pubout", "-outform", "DER")[-64:]
    head = plain(b'{"alg":"ES256","kid":"k1"}') + "." + plain(json.dumps(
        {"iat": 1760000000, "request_body_sha256": hashlib.sha256(BODY.encode()).hexdigest()}).encode())
    token = head + "." + plain(raw_signature(made_by_openssl(tmp_path, "dgst", "-sha256", "-sign", "key.pem", text=head.encode())))
    key = {"kty": "EC", "crv": "P-256", "kid": "k1", "x": plain(point[:32]), "y": plain(point[32:])}
    return {"scheme": "plaid", "now": 1760000000, "headers": [["Plaid-Verification", token]], "body": BODY, "jwks": {"k1": key}}


def test_secrets_that_a_key_is_asked_for_with_are_not_needed_where_the_key_is(engine, plaid):
    assert judged(engine, plaid) == ("accept", "verified")
    plaid["jwks"]["k1"]["expired_at"] = 1750000000
    assert judged(engine, plaid)[0] == "reject"
    del plaid["jwks"]
    verdict, reason = judged(engine, plaid)
    assert verdict == "reject" and "client_id" in reason


ACME = """
alg: jwt
keys: {url: "https://keys.acme.example/jwks.json"}
sig: {from: "header:x-token"}
jwt: {algs: [ES256, ES384, ES512, RS384, RS512], body_hash: {claim: body_sha256, enc: hex}}
"""


def head_of(algorithm, claim="body_sha256", digest=hashlib.sha256(BODY.encode()).hexdigest()):
    return plain(json.dumps({"alg": algorithm, "kid": "k1"}).encode()) + "." + plain(json.dumps({claim: digest}).encode())


@pytest.mark.parametrize("algorithm,curve,crv,size", [("ES256", "prime256v1", "P-256", 32), ("ES384", "secp384r1", "P-384", 48),
                                                      ("ES512", "secp521r1", "P-521", 66)])
def test_each_curve_has_its_algorithm(engine, tmp_path, algorithm, curve, crv, size):
    engine.write("schemes/acme.yaml", ACME)
    made_by_openssl(tmp_path, "ecparam", "-name", curve, "-genkey", "-noout", "-out", "key.pem")
    point = made_by_openssl(tmp_path, "ec", "-in", "key.pem", "-pubout", "-outform", "DER")[-2 * size:]
    key = {"kty": "EC", "crv": crv, "kid": "k1", "x": plain(point[:size]), "y": plain(point[size:])}

    def verdict(named, digest, size=size):
        head = head_of(named)
        signature = made_by_openssl(tmp_path, "dgst", f"-sha{digest}", "-sign", "key.pem", text=head.encode())
        return judged(engine, {"scheme": "acme", "now": 1760000000, "headers": [["X-Token", head + "." + plain(raw_signature(signature, size))]],
                               "body": BODY, "jwks": {"k1": key}}, "--schemes", "schemes")
    assert verdict(algorithm, algorithm[2:]) == ("accept", "verified")
    for named, length in (("ES256", 32), ("ES384", 48), ("ES512", 66)):
        if named != algorithm:
            assert verdict(named, named[2:], max(length, size)) == ("reject", "bad signature")
    assert verdict("RS384", "384") == ("reject", "bad signature")
    assert verdict("HS384", "384") == ("reject", "an algorithm that the scheme does not allow")


@pytest.mark.parametrize("digest", ["384", "512"])
def test_rsa_signs_the_digest_that_the_token_names(engine, tmp_path, digest):
    engine.write("schemes/acme.yaml", ACME)
    made_by_openssl(tmp_path, "genrsa", "-out", "key.pem", "2048")
    modulus = made_by_openssl(tmp_path, "rsa", "-in", "key.pem", "-noout", "-modulus").decode().strip().partition("=")[2]
    key = {"kty": "RSA", "kid": "k1", "e": "AQAB", "n": plain(bytes.fromhex(modulus))}
    for named in ("RS384", "RS512"):
        head = head_of(named)
        token = head + "." + plain(made_by_openssl(tmp_path, "dgst", f"-sha{digest}", "-sign", "key.pem", text=head.encode()))
        expected = ("accept", "verified") if named == "RS" + digest else ("reject", "bad signature")
        assert judged(engine, {"scheme": "acme", "now": 1760000000, "headers": [["X-Token", token]], "body": BODY, "jwks": {"k1": key}},
                      "--schemes", "schemes") == expected


@pytest.mark.parametrize("digest", ["256", "384", "512"])
def test_fusionauth_signs_with_any_digest(engine, digest):
    """The hash of the body is SHA-256 all the same."""
    hashed = base64.b64encode(hashlib.sha256(BODY.encode()).digest()).decode()
    for named in ("256", "384", "512"):
        head = head_of("HS" + named, "request_body_sha256", hashed)
        token = head + "." + plain(hmac.digest(b"s3cret", head.encode(), "sha" + digest))
        expected = ("accept", "verified") if named == digest else ("reject", "bad signature")
        assert judged(engine, {"scheme": "fusionauth", "now": 1760000000, "headers": [["X-FusionAuth-Signature-JWT", token]], "body": BODY,
                               "secrets": [{"name": "secret", "value": "s3cret"}]}) == expected


def test_a_certificate_that_has_ended_is_none(engine, tmp_path):
    made_by_openssl(tmp_path, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sns.amazonaws.com", "-keyout", "key.pem",
                    "-out", "cert.pem")
    url = "https://sns.eu-west-1.amazonaws.com/k.pem"
    message = {"Message": "m", "MessageId": "1", "Timestamp": "2025-10-09T08:53:20.000Z", "TopicArn": "t", "Type": "Notification"}
    text = "".join(f"{name}\n{message[name]}\n" for name in sorted(message))
    message |= {"SignatureVersion": "2", "SigningCertURL": url,
                "Signature": base64.b64encode(made_by_openssl(tmp_path, "dgst", "-sha256", "-sign", "key.pem", text=text.encode())).decode()}
    vector = {"scheme": "aws-sns", "now": int(time.time()), "headers": [], "body": json.dumps(message), "certs": {url: (tmp_path / "cert.pem").read_text()}}
    assert judged(engine, vector) == ("accept", "verified")
    assert judged(engine, {**vector, "now": int(time.time()) + 3 * 86400})[0] == "reject"


def test_a_handshake_that_is_turned_away_is_no_accept(engine):
    vector = {"scheme": "meta", "secrets": [{"name": "secret", "value": "s"}, {"name": "verify_token", "value": "v"}], "method": "GET", "headers": []}
    url = "https://hooks.example/in/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token="
    assert judged(engine, {**vector, "url": url + "v"}) == ("accept", "handshake")
    assert judged(engine, {**vector, "url": url + "w"}) == ("reject", "handshake refused")
