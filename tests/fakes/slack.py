"""Slack's Web API, as far as plugins/chat speaks it. A refusal has status 200."""
from fakes.server import Server

TOKEN = "xoxb-token"
CHANNELS = {"#general": "C01", "#releases": "C02", "#ops": "C03", "#sales-hot": "C04", "#content": "C05"}
FIELDS = {"channel", "text", "blocks", "thread_ts", "ts", "unfurl_links", "reply_broadcast"}


class Slack(Server):
    service = {"vendor": "slack", "token": {"secret": "TOKEN"}, "channel": "#general"}
    secrets = {"TOKEN": TOKEN}
    channel, missing, code, path = "C01", "C99", "chat.slack.channel_not_found", "/api/chat"
    rich = [{"type": "section", "text": {"type": "plain_text", "text": "rich"}}]
    calling, called, quiet = "<!channel> see <https://a.example|this>, <@U1>", "<!channel>", "&lt;!channel> see <https://a.example|this>, &lt;@U1>"

    def __init__(self):
        super().__init__()
        self.messages = {}  # id → {"channel", "text", "thread", "rich"}
        self.on("POST", "/api/chat.postMessage", self.signed(self.post))
        self.on("POST", "/api/chat.update", self.signed(self.update))

    def signed(self, handler):
        def answer(request):
            if request.headers.get("authorization") != "Bearer " + TOKEN:
                return {"ok": False, "error": "invalid_auth"}
            if not request.headers["content-type"].startswith("application/json"):
                return {"ok": False, "error": "invalid_form_data"}
            unknown = set(request.json) - FIELDS
            if unknown:
                return {"ok": False, "error": "invalid_arguments", "response_metadata": {"messages": [f"[ERROR] unknown {unknown}"]}}
            if request.json.get("channel") not in [*CHANNELS, *CHANNELS.values()]:
                return {"ok": False, "error": "channel_not_found"}
            if not request.json.get("text") and not request.json.get("blocks"):
                return {"ok": False, "error": "no_text"}
            with self.lock:
                return handler(request.json)
        return answer

    def post(self, said):
        ts = f"1700000000.{len(self.messages):06}"
        channel = CHANNELS.get(said["channel"], said["channel"])
        self.messages[ts] = {"channel": channel, "text": said.get("text"), "thread": said.get("thread_ts"), "rich": said.get("blocks")}
        return {"ok": True, "channel": channel, "ts": ts, "message": {"text": said.get("text"), "ts": ts, **({"thread_ts": said["thread_ts"]} if "thread_ts" in said else {})}}

    def update(self, said):
        if said["channel"] in CHANNELS:
            return {"ok": False, "error": "channel_not_found"}  # a name is not taken here
        if said["ts"] not in self.messages:
            return {"ok": False, "error": "message_not_found"}
        self.messages[said["ts"]].update(text=said.get("text"), rich=said.get("blocks"))
        return {"ok": True, "channel": said["channel"], "ts": said["ts"], "text": said.get("text")}

    def posted(self):
        """[(name of the channel, text)]"""
        names = {id: name for name, id in CHANNELS.items()}
        return [(names[message["channel"]], message["text"]) for message in self.messages.values()]

    def is_calling(self, message):
        return "<!" in message["text"] or "<@" in message["text"]
