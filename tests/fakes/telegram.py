"""Telegram's Bot API, as far as plugins/chat speaks it: the token stands in the path."""
from fakes.server import Refused, Server

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


def refused(code, description, **parameters):
    return Refused(code, {"ok": False, "error_code": code, "description": description, **({"parameters": parameters} if parameters else {})})


class Telegram(Server):
    service = {"vendor": "telegram", "token": {"secret": "TOKEN"}, "channel": "-1001"}
    secrets = {"TOKEN": TOKEN}
    channel, missing, code, path = "-1001", "-1999", "chat.telegram.400", "/bot"
    rich = {"inline_keyboard": [[{"text": "rich", "url": "https://a.example"}]]}
    calling, quiet = "hello", "hello"

    def __init__(self):
        super().__init__()
        self.messages = {}
        self.on("POST", "/bot{token}/sendMessage", self.signed(self.post))
        self.on("POST", "/bot{token}/editMessageText", self.signed(self.update))

    def signed(self, handler):
        def answer(request, token):
            if token != TOKEN:
                raise refused(401, "Unauthorized")
            if str(request.json.get("chat_id")) != "-1001":
                raise refused(400, "Bad Request: chat not found")
            if not request.json.get("text"):
                raise refused(400, "Bad Request: message text is empty")
            with self.lock:
                return handler(request.json)
        return answer

    def shown(self, id):
        return {"ok": True, "result": {"message_id": int(id), "chat": {"id": -1001}, "text": self.messages[id]["text"]}}

    def post(self, said):
        assert set(said) <= {"chat_id", "text", "reply_parameters", "reply_markup", "parse_mode", "message_thread_id"}, said
        to = said.get("reply_parameters", {}).get("message_id")
        if to is not None and str(to) not in self.messages:
            raise refused(400, "Bad Request: message to be replied not found")
        id = str(len(self.messages) + 1)
        self.messages[id] = {"channel": "-1001", "text": said["text"], "thread": str(to) if to is not None else None, "rich": said.get("reply_markup")}
        return self.shown(id)

    def update(self, said):
        id = str(said["message_id"])
        if id not in self.messages:
            raise refused(400, "Bad Request: message to edit not found")
        if self.messages[id]["text"] == said["text"] and self.messages[id]["rich"] == said.get("reply_markup"):
            raise refused(400, "Bad Request: message is not modified: specified new message content and reply markup are exactly the same")
        self.messages[id].update(text=said["text"], rich=said.get("reply_markup"))
        return self.shown(id)

    def is_calling(self, message):
        return False
