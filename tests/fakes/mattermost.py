"""Mattermost's API v4, as far as plugins/chat speaks it."""
import re

from fakes.server import Refused, Server

TOKEN = "mattermost-token"
CHANNEL = "4yf9z1ojqjrqdmp9k1q4wz3xuh"


def refused(status, id, message):
    return Refused(status, {"id": id, "message": message, "status_code": status, "request_id": "r"})


class Mattermost(Server):
    service = {"vendor": "mattermost", "token": {"secret": "TOKEN"}, "channel": CHANNEL}
    secrets = {"TOKEN": TOKEN}
    channel, missing, code, path = CHANNEL, "x" * 26, "chat.mattermost.api.context.permissions", "/api/v4/posts"
    rich = [{"text": "rich"}]
    calling, quiet = "@all and @HERE, @ada", "@\u200ball and @\u200bHERE, @ada"

    def __init__(self):
        super().__init__()
        self.messages, self.pending = {}, {}
        self.on("POST", "/api/v4/posts", self.signed(self.post))
        self.on("PUT", "/api/v4/posts/{id}/patch", self.signed(self.update))

    def signed(self, handler):
        def answer(request, **parts):
            if request.headers.get("authorization") != "Bearer " + TOKEN:
                raise refused(401, "api.context.session_expired.app_error", "Invalid or expired session, please login again.")
            with self.lock:
                return handler(request.json, **parts)
        return answer

    def shown(self, id):
        message = self.messages[id]
        return {"id": id, "channel_id": message["channel"], "root_id": message["thread"] or "", "message": message["text"] or ""}

    def post(self, said):
        assert set(said) <= {"channel_id", "message", "root_id", "props", "pending_post_id", "file_ids"}, said
        if said.get("channel_id") != CHANNEL:
            raise refused(403, "api.context.permissions.app_error", "You do not have the appropriate permissions.")
        if said["pending_post_id"] in self.pending:
            return 201, self.shown(self.pending[said["pending_post_id"]])
        root = said.get("root_id")
        if root and (root not in self.messages or self.messages[root]["thread"]):
            raise refused(400, "api.post.create_post.root_id.app_error", "Invalid RootId parameter.")
        id = f"{len(self.messages):026}"
        self.messages[id] = {"channel": CHANNEL, "text": said.get("message"), "thread": root, "rich": said.get("props", {}).get("attachments")}
        self.pending[said["pending_post_id"]] = id
        return 201, self.shown(id)

    def update(self, said, id):
        if id not in self.messages:
            raise refused(404, "app.post.get.app_error", "Unable to get the post.")
        self.messages[id].update(text=said.get("message"), rich=said.get("props", {}).get("attachments"))
        return self.shown(id)

    def is_calling(self, message):
        return re.search(r"@(all|channel|here)\b", message["text"], re.I) is not None
