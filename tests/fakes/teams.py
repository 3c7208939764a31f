"""The webhook of a workflow in Microsoft Teams, as far as plugins/chat speaks it: it takes Adaptive Cards and tells nothing back."""
import re

from fakes.server import Answer, Refused, Server


def shown(text):
    """The lines of a TextBlock as Teams shows it: a line break is one between two items of a list, elsewhere only two of them are."""
    lines = [""]
    for paragraph in text.split("\n\n"):
        for at, line in enumerate(paragraph.split("\n")):
            is_item = re.match(r"\s*([-*+]|\d+\.) ", line) and re.match(r"\s*([-*+]|\d+\.) ", lines[-1])
            lines = [*lines, line] if at == 0 or is_item else [*lines[:-1], f"{lines[-1]} {line}"]
    return lines[1:]


class Teams(Server):
    path = "/workflows/1/triggers/manual/paths/invoke"

    @property
    def service(self):
        return {"vendor": "teams", "webhook": {"secret": "HOOK"}}

    @property
    def secrets(self):
        return {"HOOK": f"{self.url}{self.path}?api-version=2016-06-01&sig=teams-signature"}

    def __init__(self):
        super().__init__()
        self.cards, self.old_failure = [], None
        self.on("POST", self.path, self.take)

    def take(self, request):
        if request.query.get("sig") != ["teams-signature"]:
            raise Refused(401, {"error": {"code": "DirectApiAuthorizationRequired", "message": "The request must be authenticated."}})
        if self.old_failure:
            failure, self.old_failure = self.old_failure, None
            return Answer(200, failure.encode(), {"Content-Type": "text/plain"})
        [one] = request.json["attachments"]
        if request.json["type"] != "message" or one["contentType"] != "application/vnd.microsoft.card.adaptive" or one["content"].get("type") != "AdaptiveCard":
            raise Refused(400, {"error": {"code": "TriggerInputSchemaMismatch", "message": "The input body is not of the schema."}})
        self.cards.append(one["content"])
        return 202, None
