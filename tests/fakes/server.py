"""What the fakes of vendors are made of: an HTTP server on a free port of 127.0.0.1 that keeps every request, answers by routes, and fails on demand.

    class Shop(Server):
        def __init__(self):
            super().__init__()
            self.on("POST", "/v1/orders", self.order)
            self.on("GET", "/v1/orders/{id}", lambda request, id: {"id": id})

        def order(self, request):
            if request.headers["authorization"] != "Bearer secret":
                raise Refused(401, {"error": "unauthorized"})
            return 201, {"id": 7}

    with Shop() as shop:
        shop.fail(429, times=2, headers={"Retry-After": "0"})     # the next two requests, whatever they are
        ... shop.url, shop.requests[0].json ...

A handler gets the request and the parts of the path that are in braces. It returns what is JSON, or (status, JSON), or (status, JSON, headers), or an
Answer: there the body is bytes, or an iterator of bytes that are sent as they come. A path without a route is answered 404. A handler that raises
anything but Refused is a fault of the fake: the request is answered 500, and close() (the end of the `with`) raises it again.

Handlers run in a thread per connection, several at once: a fake that keeps state over requests holds `self.lock` while it changes it."""
import dataclasses
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Iterable


class Refused(Exception):
    """Raised by a handler: the answer to what the vendor's documents refuse."""

    def __init__(self, status: int, answer=None, headers: dict = None):
        super().__init__(status, answer)
        self.answer = (status, answer, headers or {})


@dataclasses.dataclass
class Request:
    method: str
    path: str      # without the query, still percent-encoded
    query: dict    # name → list of values
    headers: dict  # names in lower case; of several with one name the last
    body: bytes
    target: str    # as it was sent: path?query

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def form(self) -> dict:
        return urllib.parse.parse_qs(self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body))


@dataclasses.dataclass
class Answer:
    status: int = 200
    body: "bytes | Iterable[bytes]" = b""
    headers: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class _Fault:
    kind: str  # "answer", "stall", "cut", "none"
    times: int
    path: str  # a regular expression that the path has to match from its beginning
    method: str = None
    answer: Answer = None
    after: int = 0
    is_done: bool = False


def _answer(returned) -> Answer:
    if isinstance(returned, Answer):
        return returned
    status, value, headers = 200, returned, {}
    if isinstance(returned, tuple):
        status, value, headers = (*returned, {})[:3]
    if value is None:
        return Answer(status, b"", headers)
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


class Server:
    def __init__(self):
        self.lock = threading.RLock()
        self.requests = []  # in the order in which they were read whole
        self.errors = []    # what handlers raised that was not meant
        self._routes, self._faults = [], []
        self._open, self._released = set(), threading.Event()
        self._server = _Listener(("127.0.0.1", 0), _handler_of(self))
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def on(self, method: str, path: str, handler):
        """path: "/contacts/{id}/notes"; a part in braces is one segment, decoded. The route that was added first wins."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
        self._routes.append((method, re.compile(pattern), handler))

    def at(self, path: str) -> list:
        """The requests so far whose path is exactly this one."""
        with self.lock:
            return [request for request in self.requests if request.path == path]

    # ---- faults: of the next `times` requests, with this method if one is given, whose path begins with a match of `path` ----
    def fail(self, status: int, answer=None, *, times: int = 1, path: str = "", method: str = None, headers: dict = None, done: bool = False, after: int = 0):
        """done: what was asked for has happened all the same. after: so many of those that match are answered before."""
        if after:
            self._fault(_Fault("none", after, path, method))
        self._fault(_Fault("answer", times, path, method, _answer((status, answer, headers or {})), is_done=done))

    def stall(self, *, times: int = 1, path: str = "", method: str = None):
        """Such a request is read and not answered before release(); then as if nothing had been."""
        self._fault(_Fault("stall", times, path, method))

    def cut(self, *, times: int = 1, path: str = "", method: str = None, after: int = 0):
        """The answer ends, with its connection, after so many bytes of its body; its effect has happened. after = -1: before the status line."""
        self._fault(_Fault("cut", times, path, method, after=after))

    def release(self):
        self._released.set()

    def _fault(self, fault: _Fault):
        with self.lock:
            if fault.kind == "stall":
                self._released.clear()
            self._faults.append(fault)

    def _take_fault(self, method: str, path: str):
        with self.lock:
            for fault in self._faults:
                if fault.times and fault.method in (None, method) and re.match(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    # ---- a request ----
    def _respond(self, request: Request, fault) -> Answer:
        if fault and fault.kind == "answer":
            if fault.is_done:
                self._respond(request, None)
            return fault.answer
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                try:
                    return _answer(handler(request, **{name: urllib.parse.unquote(value) for name, value in match.groupdict().items()}))
                except Refused as refused:
                    return _answer(refused.answer)
                except Exception as error:
                    with self.lock:
                        self.errors.append(error)
                    return Answer(500, f"{type(error).__name__}: {error}".encode(), {"Content-Type": "text/plain"})
        return _answer((404, {"error": f"no route for {request.method} {request.path}"}))

    # ---- the end ----
    def close(self):
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self.lock:
            for connection in self._open:
                connection.hang_up()
        if self.errors:
            raise self.errors[0]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.close()
            return
        try:  # what the test failed with says more
            self.close()
        except Exception as error:
            print(f"the fake failed as well: {error!r}")


class _Listener(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        pass  # a peer that went away


def _handler_of(fake: Server):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            with fake.lock:
                fake._open.add(self)

        def finish(self):
            with fake.lock:
                fake._open.discard(self)
            super().finish()

        def hang_up(self):
            try:
                self.connection.shutdown(2)
            except OSError:
                pass

        def log_message(self, format, *args):
            pass

        def _read_body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return body

        def _serve(self):
            body = self._read_body()
            path, _, query = self.path.partition("?")
            request = Request(self.command, path, urllib.parse.parse_qs(query, keep_blank_values=True),
                              {name.lower(): value for name, value in self.headers.items()}, body, self.path)
            fault = fake._take_fault(self.command, path)
            with fake.lock:
                fake.requests.append(request)
            if fault and fault.kind == "stall":
                fake._released.wait()
            self._send(fake._respond(request, fault), fault.after if fault and fault.kind == "cut" else None)

        def _send(self, answer: Answer, cut_after):
            if cut_after == -1:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            is_whole = isinstance(answer.body, bytes)
            if is_whole and answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            elif not is_whole:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if self.command == "HEAD" or answer.status == 204:
                return
            left = cut_after
            for part in [answer.body] if is_whole else answer.body:
                part = part if left is None else part[:left]
                if part:
                    self.wfile.write(part if is_whole else b"%x\r\n%s\r\n" % (len(part), part))
                if left is not None:
                    left -= len(part)
                    if left <= 0:
                        self.close_connection = True
                        return
            if not is_whole:
                self.wfile.write(b"0\r\n\r\n")

        def __getattr__(self, name):
            if name.startswith("do_"):
                return self._serve
            raise AttributeError(name)
    return Handler
