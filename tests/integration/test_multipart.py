"""Multipart forms over the real door: fields are texts, files are objects, and what is none is refused."""
import hashlib
import hmac
import http.client
import json

CONFIG = """
listen: [http://127.0.0.1:0]
sources:
  open: {path: /in/open, verify: none, max_body: 64KiB}
  sign:
    path: /in/sign
    verify: dropbox-sign
    secrets: {api_key: {env: SECRET}}
"""
ECHO = "name: echo\non: [{event: 'open.*'}, {event: 'sign.*'}]\nsteps:\n  - {id: say, set: {data: \"${{ event.data }}\"}}\n"
TYPE = "multipart/form-data; boundary=----formdata7"


def form(*parts):
    return b"".join(b"------formdata7\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + b"------formdata7--\r\n"


def field(name, value, more=""):
    return f'Content-Disposition: form-data; name="{name}"{more}', value


def post(engine, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
    connection.request("POST", path, body, {"Content-Type": TYPE})
    answer = connection.getresponse()
    result = answer.status, answer.read()
    connection.close()
    return result


def start(make_engine):
    engine = make_engine(CONFIG)
    engine.env["SECRET"] = "s3cret"
    engine.write("workflows/echo.yaml", ECHO)
    return engine.start()


def test_fields_are_texts_and_files_are_objects(make_engine):
    engine = start(make_engine)
    content = bytes(range(256)) * 16
    body = form(field("from", "Jörg".encode()), field("tag", b"a"), field("tag", b"b"),
                field("scan", content, '; filename="scan 1.bin"\r\nContent-Type: application/octet-stream'))
    assert post(engine, "/in/open", body)[0] == 202
    [run] = engine.finished_runs(1)
    import base64
    assert run["steps"][0]["output"]["data"] == {
        "from": "Jörg", "tag": ["a", "b"],
        "scan": {"filename": "scan 1.bin", "type": "application/octet-stream", "size": 4096, "base64": base64.b64encode(content).decode()}}
    engine.stop()


def test_what_is_no_multipart_form_is_refused(make_engine):
    engine = start(make_engine)
    whole = form(field("a", b"1"), field("b", b"\x80"))
    for body in (form(field("a", b"1"))[:-8], whole, b"", b"{}"):
        status, answer = post(engine, "/in/open", body)
        if body:
            assert status == 400 and b"no multipart form" in answer, body
    assert post(engine, "/in/open", form(field("a", b"x" * 70000)))[0] == 413
    assert len(engine.rows("events")) == 1  # of the request without a body
    engine.stop()


def test_dropbox_sign_hears_its_words(make_engine):
    engine = start(make_engine)

    def callback(key):
        proof = hmac.new(key, b"1760000000signature_request_signed", hashlib.sha256).hexdigest()
        data = {"event": {"event_time": "1760000000", "event_type": "signature_request_signed", "event_hash": proof}, "signature_request": {"title": "Offer"}}
        return post(engine, "/in/sign", form(field("json", json.dumps(data).encode())))
    assert callback(b"another")[0] == 401
    assert callback(b"s3cret") == (200, b"Hello API Event Received") == callback(b"s3cret")
    [event] = engine.rows("events")
    assert event["name"] == "sign.signature_request_signed"
    [run] = engine.finished_runs(1)
    assert run["steps"][0]["output"]["data"]["signature_request"] == {"title": "Offer"}
    engine.stop()
