#!/usr/bin/python3
"""Makes the seeds of a fuzz target: files from which it begins, out of what the project has anyway.

usage: tests/fuzz/seeds.py TARGET FOLDER

They come from tests/corpus, the texts in the unit tests, workflows/, and, if they are there, the vectors and corpora of ../shared. A file is named by what is
in it, so that making them again changes nothing."""
import base64
import hashlib
import json
import os
import pathlib
import re
import struct
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHARED = pathlib.Path(os.environ.get("BELLWIRE_SHARED", ROOT.parent / "shared"))
DICE = b"\x01\x02\x03\x04"  # most targets take their choices from the first 4 bytes


def shared_files(pattern: str) -> list[pathlib.Path]:
    found = sorted(SHARED.glob(pattern))
    if not found:
        print(f"note: no {SHARED}/{pattern}: seeds without them", file=sys.stderr)
    return found


def literals(path: str) -> list[bytes]:
    """The string literals of a C file, those side by side joined as the compiler does."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / path).read_text(), flags=re.S)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    one = r'"(?:[^"\\\n]|\\.)*"'
    return [b"".join(unescape(part[1:-1]) for part in re.findall(one, group)) for group in re.findall(rf"{one}(?:\s*{one})*", text)]


def unescape(text: str) -> bytes:
    """The bytes that a C literal stands for."""
    return text.encode().decode("unicode_escape").encode("latin-1")


def requests() -> list[bytes]:
    lines = (ROOT / "tests/corpus/requests.txt").read_text().splitlines()
    return [unescape(line.split("\t", 2)[2]) for line in lines if line and line[0] != "#"]


def of_gate() -> list[bytes]:
    return [DICE + request for request in requests()]


def of_chunks() -> list[bytes]:
    return [DICE + request.split(b"\r\n\r\n", 1)[1] for request in requests() if b"chunked" in request]


def of_json_scan() -> list[bytes]:
    texts = [path.read_bytes() for path in shared_files("corpora/json/*/*.json") if path.stat().st_size < 4096]
    texts += [body_of(vector) for vector in vectors()]
    return [DICE + text for text in texts + literals("tests/unit/base/test_json_scan.c") + [(ROOT / "workflows/hello/push.json").read_bytes()]]


def of_frame() -> list[bytes]:
    def frame(kind: int, head: bytes, *parts: bytes) -> bytes:
        lengths = b"".join(struct.pack("<I", len(part)) for part in parts)
        rest = lengths + head + b"".join(parts)
        return struct.pack("<IHHI", len(rest), kind, len(parts), len(head)) + rest

    return [DICE + frame(1, b"{}"), DICE + frame(4, b'{"a":1}', b"first", b"", b"a\0b"), DICE + frame(7, b"{}", *[b"x"] * 20) + frame(2, b"{}")]


def vectors() -> list[dict]:
    found = []
    for path in shared_files("vectors/*.json"):
        content = json.loads(path.read_text())
        found += content["vectors"] if isinstance(content, dict) else content
    return found


def body_of(vector: dict) -> bytes:
    return base64.b64decode(vector["body_b64"]) if vector.get("body_b64") else (vector.get("body") or "").encode()


def of_scheme() -> list[bytes]:
    seeds = []
    for vector in vectors():
        query = vector.get("url", "").partition("?")[2]
        lines = [f"{vector['scheme']} {vector.get('method', 'POST')} {query}"] + [f"{name}: {value}" for name, value in vector.get("headers", [])]
        seeds.append(DICE + "\n".join(lines + ["", ""]).encode() + body_of(vector))
    for path in sorted((ROOT / "engine/source/schemes").glob("*.yaml")):
        for body in (b'{"id":"evt_1","type":"order.created","data":{"id":7}}', b"a=b&c=%20d&timestamp=1760000000",
                     b'[{"id":"1","type":"a","eventType":"a"},{"id":"2"}]', b'{"events":[{"id":"1","action":"a"}],"entries":[{"id":2}]}'):
            seeds.append(DICE + path.stem.encode() + b" POST x=y\ncontent-type: application/json\n\n" + body)
    return seeds


def of_signature_headers() -> list[bytes]:
    values = {value for vector in vectors() for _, value in vector.get("headers", [])}
    values |= {"t=1760000000,v1=00ff,v1=ab,v0=cd", "v1,AAEC v1,AwQF v1a,Bg==", "sha256=00ff", "Basic YTpi", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AA",
               "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05+07:00", "Sun, 06 Nov 1994 08:49:37 GMT", "1760000000123", "AAEC_-8"}
    # A text for each scheme: the seed of the dice chooses it.
    return [struct.pack("<I", number) + value.encode() for number, value in enumerate(sorted(values))]


def yaml_files() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "workflows").rglob("*.yaml")) + sorted((ROOT / "engine/source/schemes").glob("*.yaml"))]


def of_workflow() -> list[bytes]:
    texts = yaml_files() + [path.read_bytes() for path in shared_files("corpora/yaml/**/in.yaml") if path.stat().st_size < 4096]
    texts += re.findall(rb"```yaml\n(.*?)```", (ROOT / "engine/workflow/README.md").read_bytes(), flags=re.S)
    head = b"name: w\non: [{manual: true}]\n"  # what a macro is in the tests
    for test in sorted((ROOT / "tests/unit/workflow").glob("test_*.c")):
        found = [text.replace("§".encode(), b"") for text in literals(str(test.relative_to(ROOT))) if b"\n" in text]
        texts += [head + text if b"steps:" in text and b"name:" not in text[:8] else text for text in found]
    return texts


def of_scheme_file() -> list[bytes]:
    texts = [path.read_bytes() for path in sorted((ROOT / "engine/source/schemes").glob("*.yaml"))]
    document = (ROOT / "engine/source/schemes/README.md").read_bytes()
    texts += re.findall(rb"```yaml (?:scheme|schemes/)[^\n]*\n(.*?)```", document, flags=re.S)
    return texts + [text for path in ("test_schemes.c", "test_handshakes.c", "test_signature.c")
                    for text in literals(f"tests/unit/source/{path}") if b"alg:" in text or b"like:" in text]


def of_config() -> list[bytes]:
    texts = [path.read_bytes() for path in sorted((ROOT / "workflows").rglob("bellwire.yaml"))]
    for document in ("README.md", "engine/source/schemes/README.md", "engine/ingest/README.md", "engine/workflow/README.md"):
        texts += re.findall(rb"```yaml(?: bellwire.yaml)?\n(.*?)```", (ROOT / document).read_bytes(), flags=re.S)
    for test in sorted((ROOT / "tests/unit/config").glob("test_*.c")):
        texts += [text for text in literals(str(test.relative_to(ROOT))) if b": " in text]
    for test in sorted((ROOT / "tests/integration").glob("test_*.py")):
        texts += re.findall(rb'"""\n((?:listen|sources|limits|pools|tls):.*?)"""', test.read_bytes(), flags=re.S)
    return texts


def strings(node: object) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in strings(value)]
    if isinstance(node, list):
        return [text for value in node for text in strings(value)]
    return [node] if isinstance(node, str) else []


def of_expression() -> list[bytes]:
    texts = []
    for content in yaml_files() + re.findall(rb"```yaml\n(.*?)```", (ROOT / "engine/workflow/README.md").read_bytes(), flags=re.S):
        try:
            documents = list(yaml.safe_load_all(content))
        except yaml.YAMLError:
            continue
        texts += [match for text in strings(documents) for match in re.findall(r"\$\{\{(.*?)\}\}", text, flags=re.S)]
    seeds = [text.strip().encode() for text in texts]
    for test in ("test_expr.c", "test_library.c", "test_pattern.c", "test_sandbox.c"):
        seeds += [text for text in literals(f"tests/unit/lua/{test}") if text]
    return seeds


def of_form() -> list[bytes]:
    texts = [body_of(vector) for vector in vectors() if b"=" in body_of(vector) and body_of(vector)[:1] != b"{"]
    return texts + [b"a=b&c=d&a=e", b"a=%C3%A9+x&=&b", b"a=%00", b"a=%zz", b"%61=1&a=2", b"&&a&=b&"]


def of_event_stream() -> list[bytes]:
    return [DICE + text for text in literals("tests/unit/base/test_event_stream.c")]


def of_hooks() -> list[bytes]:
    texts = re.findall(rb"```yaml hooks.yaml\n(.*?)```", (ROOT / "engine/hooks/README.md").read_bytes(), flags=re.S)
    rule = {"match": {"type": "value", "value": "x", "parameter": {"source": "payload", "name": "a.0.b"}}}
    proof = {"match": {"type": "payload-hmac-sha1", "secret": '{{ getenv "A" | js }}', "parameter": {"source": "header", "name": "X-Hub-Signature"}}}
    regexes = [{"match": {"type": "regex", "regex": regex.decode(), "parameter": {"source": "header", "name": "X-Event"}}} for regex in literals("tests/unit/hooks/test_regex.c") if len(regex) < 30]
    for inner in (rule, proof, {"not": rule}, {"and": [rule, {"not": {"or": [rule]}}]}, {"or": regexes[:9]}, {"and": regexes}, {"match": {"type": "ip-whitelist", "ip-range": "10.0.0.1/8 ::1"}}):
        texts.append(json.dumps([{"id": "a", "execute-command": "true", "trigger-rule": inner, "response-message": "${{ x }}", "success-http-response-code": 201,
                                  "response-headers": [{"name": "X-A", "value": "b"}], "include-command-output-in-response": True, "http-methods": ["POST"],
                                  "pass-arguments-to-command": [{"source": source, "name": "n"} for source in ("payload", "header", "string", "url", "request", "entire-payload")],
                                  "pass-environment-to-command": [{"source": "payload", "name": "p.q", "envname": "E"}], "parse-parameters-as-json": [{"source": "payload", "name": "p"}]}]).encode())
    return [bytes([kind]) + text for text in texts for kind in (0, 1)]


def of_mcp() -> list[bytes]:
    seeds = [DICE + b"\n\n\n" + text for text in literals("tests/unit/mcp/test_request.c") if text[:1] == b"{"]
    return seeds + [DICE + b"2026-07-28\ntools/call\nprice_of\n" + text for text in literals("tests/unit/mcp/test_request.c") if b"tools/call" in text]


def of_multipart() -> list[bytes]:
    field, end = b'--b0\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n', b"--b0--\r\n"
    file = b'; filename="f.txt"\r\nContent-Type: text/plain'
    bodies = [field % (b"a", b"", b"1") + field % (b"b", b"", b"x y") + end, field % (b"a", file, b"\x00\xff") + end,
              field % (b"a", b"", b"1") + field % (b"a", b"", b"2") + end, field % (b'a\\"b', b"\r\nX-Other: y", b"--b") + b"--b0--", b"--b0--"]
    bodies += [text for text in literals("tests/unit/source/test_multipart.c") if b"\r\n" in text]
    return [DICE + b"multipart/form-data; boundary=b0\n" + body for body in bodies] + [DICE + b'multipart/form-data; boundary="b 0"\n--b 0--']


def main() -> int:
    if len(sys.argv) != 3 or f"of_{sys.argv[1]}" not in globals():
        print(__doc__, file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in globals()[f"of_{sys.argv[1]}"]():
        (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
