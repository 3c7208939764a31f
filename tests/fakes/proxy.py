"""A forward proxy (RFC 9110 7.7 and 9.3.6): CONNECT, and requests in absolute form. It asks for a user if it is told one, and refuses hosts on demand."""
import base64
import http.client
import http.server
import select
import socket
import threading
import urllib.parse


class Proxy:
    def __init__(self, user=None, password=None):
        self.wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
        self.seen, self.refused = [], {}  # (method, target); host:port → status
        self.heads = []                   # of each request, the names in lower case
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads, self._server.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_of(proxy):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body=b"", headers=()):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def is_let_in(self, host):
            proxy.seen.append((self.command, self.path))
            proxy.heads.append({name.lower(): value for name, value in self.headers.items()})
            if proxy.wanted and self.headers.get("Proxy-Authorization") != proxy.wanted:
                self.answer(407, headers=[("Proxy-Authenticate", 'Basic realm="way out"')])
            elif host in proxy.refused:
                self.answer(proxy.refused[host])
            else:
                return True
            self.close_connection = True
            return False

        def do_CONNECT(self):
            if not self.is_let_in(self.path):
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                self.send_response(200)
                self.end_headers()
                ends = [self.connection, far]
                while True:
                    for end in select.select(ends, [], [])[0]:
                        try:
                            part = end.recv(65536)
                            (far if end is self.connection else self.connection).sendall(part)
                        except OSError:
                            part = b""
                        if not part:
                            self.close_connection = True
                            return

        def forward(self):
            url = urllib.parse.urlsplit(self.path)
            if url.scheme != "http" or not self.is_let_in(url.netloc):
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            far = http.client.HTTPConnection(url.netloc, timeout=60)
            hop = {"proxy-authorization", "proxy-connection", "connection"}
            far.request(self.command, url.path + (f"?{url.query}" if url.query else ""), body or None,
                        {name: value for name, value in self.headers.items() if name.lower() not in hop})
            got = far.getresponse()
            body = got.read()
            self.answer(got.status, body, [(name, value) for name, value in got.getheaders() if name.lower() not in ("content-length", "connection", "date", "server")])
            far.close()

        do_GET = do_POST = do_PUT = forward
    return Handler
