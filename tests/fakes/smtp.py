"""A mail server (aiosmtpd) on a free port of 127.0.0.1 that keeps every mail, refuses on demand, and goes away on demand.

    with Mailbox() as box:
        box.refuse["nobody@shop.example"] = "550 5.1.1 no such user"
        box.plan = ["451 4.3.0 try later", "cut"]     # how the next messages are answered; then with 250
        ... box.url, box.mails[0].recipients, box.mails[0].content ...
"""
import asyncio
import dataclasses
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP


@dataclasses.dataclass
class Mail:
    sender: str
    recipients: list
    content: bytes
    is_encrypted: bool
    user: str
    hello: str


class Mailbox:
    def __init__(self, certificate=None, key=None, users=None, implicit=False, offers_tls=True):
        """users: name → password; then nobody sends without one. implicit: TLS from the first byte (smtps)."""
        self.mails, self.plan, self.refuse, self.refuse_sender = [], [], {}, None
        self.connections, self.users = 0, users
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
        box = self

        class Server(SMTP):
            def connection_made(self, transport):
                box.connections += 1
                super().connection_made(transport)

        class Made(Controller):
            def _trigger_server(self):  # connects once, to know that it serves
                self.port = self.server.sockets[0].getsockname()[1]
                super()._trigger_server()

            def factory(self):
                options = {"tls_context": context, "require_starttls": False} if context and offers_tls and not implicit else {}
                if users is not None:
                    options |= {"authenticator": box.authenticate, "auth_required": True, "auth_require_tls": bool(context) and not implicit}
                return Server(box, enable_SMTPUTF8=False, hostname="mail.test", **options)

        self.controller = Made(self, hostname="127.0.0.1", port=0, ssl_context=context if implicit else None)
        self.scheme = "smtps" if implicit else "smtp"

    def __enter__(self):
        self.controller.start()
        self.connections = 0
        self.url = f"{self.scheme}://127.0.0.1:{self.controller.port}"
        return self

    def __exit__(self, *_):
        self.controller.stop(no_assert=True)

    def authenticate(self, server, session, envelope, mechanism, data):
        known = self.users.get(data.login.decode()) == data.password.decode()
        session.user = data.login.decode() if known else None
        return AuthResult(success=known, handled=False)

    # ---- what aiosmtpd asks ----
    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.refuse_sender:
            return self.refuse_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        plan = self.plan.pop(0) if self.plan else "250 2.0.0 queued as 42"
        if callable(plan):
            plan = await plan()
        if plan in ("cut", "take and cut") or plan.startswith("250"):
            if plan != "cut":
                self.mails.append(Mail(envelope.mail_from, list(envelope.rcpt_tos), envelope.content, session.ssl is not None,
                                       getattr(session, "user", None), session.host_name))
            if plan.endswith("cut"):
                server.transport.abort()
                await asyncio.sleep(0)
                return None
        return plan
