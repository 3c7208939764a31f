"""Discord's API v10, as far as plugins/chat speaks it: messages of a bot, with nonces, and of a webhook."""
from fakes.server import Refused, Server

TOKEN = "bot-token"
FIELDS = {"content", "embeds", "allowed_mentions", "nonce", "enforce_nonce", "message_reference", "flags"}


def refused(status, code, message, **more):
    return Refused(status, {"code": code, "message": message, **more})


class Discord(Server):
    service = {"vendor": "discord", "token": {"secret": "TOKEN"}, "channel": "41"}
    secrets = {"TOKEN": TOKEN}
    channel, missing, code, path = "41", "99", "chat.discord.10003", "/api/v10/channels"
    rich = [{"title": "rich"}]
    calling, quiet = "@everyone look", "@everyone look"

    def __init__(self):
        super().__init__()
        self.messages, self.nonces = {}, {}
        self.on("POST", "/api/v10/channels/{channel}/messages", self.signed(self.post))
        self.on("PATCH", "/api/v10/channels/{channel}/messages/{id}", self.signed(self.update))
        self.on("POST", "/api/webhooks/7/hook-token", self.hook)
        self.on("PATCH", "/api/webhooks/7/hook-token/messages/{id}", self.update_by_hook)

    def signed(self, handler):
        def answer(request, channel, **parts):
            if request.headers.get("authorization") != "Bot " + TOKEN:
                raise refused(401, 0, "401: Unauthorized")
            if channel != "41":
                raise refused(404, 10003, "Unknown Channel")
            with self.lock:
                return handler(request, channel, **parts)
        return answer

    def invalid(self, field, code, message):
        return refused(400, 50035, "Invalid Form Body", errors={field: {"_errors": [{"code": code, "message": message}]}})

    def check(self, request):
        if not request.headers["user-agent"].startswith("DiscordBot ("):
            raise refused(403, 40333, "internal network error")
        assert set(request.json) <= FIELDS, request.json
        if not request.json.get("content") and not request.json.get("embeds"):
            raise refused(400, 50006, "Cannot send an empty message")
        if len(request.json.get("content") or "") > 2000 or len(request.json.get("nonce", "")) > 25:
            raise self.invalid("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.")

    def post(self, request, channel, thread=None):
        self.check(request)
        said = request.json
        if said.get("enforce_nonce") and said["nonce"] in self.nonces:
            return self.shown(self.nonces[said["nonce"]])
        reference = said.get("message_reference", {}).get("message_id")
        if reference and reference not in self.messages:
            raise self.invalid("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        if thread and (thread not in self.messages or self.messages[thread]["thread"]):
            raise refused(404, 10003, "Unknown Channel")  # no thread hangs on it
        id = str(10**17 + len(self.messages))
        self.messages[id] = {"channel": channel, "text": said.get("content"), "thread": reference or thread, "place": thread, "rich": said.get("embeds"), "parse": said.get("allowed_mentions", {}).get("parse")}
        self.nonces[said.get("nonce")] = id
        return self.shown(id)

    def shown(self, id):
        return {"id": id, "channel_id": self.messages[id]["place"] or self.messages[id]["channel"], "content": self.messages[id]["text"] or ""}

    def update(self, request, channel, id):
        self.check(request)
        if id not in self.messages:
            raise refused(404, 10008, "Unknown Message")
        names = {"content": "text", "embeds": "rich"}  # what is not said stays
        self.messages[id].update({names[name]: value for name, value in request.json.items() if name in names})
        return self.shown(id)

    def hook(self, request):
        if request.query.get("wait") != ["true"]:
            return 204, None
        return self.post(request, "41", request.query.get("thread_id", [None])[0])

    def update_by_hook(self, request, id):
        """A message in a thread is found with the thread's id only."""
        if id in self.messages and request.query.get("thread_id", [None])[0] != self.messages[id]["place"]:
            raise refused(404, 10008, "Unknown Message")
        return self.update(request, "41", id)

    def is_calling(self, message):
        return message["parse"] is None
