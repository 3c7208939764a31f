"""WordPress' REST API v2, as far as plugins/cms speaks it: posts, autosaves, application passwords."""
import base64

from fakes.server import Refused, Server

USER, PASSWORD = "editor", "abcd EFGH 1234 ijkl MNOP 6789"


def refused(status, code, message):
    return Refused(status, {"code": code, "message": message, "data": {"status": status}})


class WordPress(Server):
    site = {"vendor": "wordpress", "user": USER, "password": {"secret": "PASSWORD"}}
    secrets = {"PASSWORD": PASSWORD}
    creates, publishes = ("POST", r"/wp-json/wp/v2/posts$"), ("POST", r"/wp-json/wp/v2/posts/\d+$")
    code, refused_field = "cms.wordpress.rest_invalid_param", "author"
    drafts_what_is_public = True

    def __init__(self):
        super().__init__()
        self.posts, self.autosaves, self.clock = {}, {}, 0
        for method, path, handler in [
            ("GET", "/posts", self.find), ("POST", "/posts", self.create), ("GET", "/posts/{id}", self.get), ("POST", "/posts/{id}", self.update),
            ("GET", "/posts/{id}/autosaves", self.saved), ("POST", "/posts/{id}/autosaves", self.autosave), ("DELETE", "/posts/{id}/revisions/{save}", self.drop),
        ]:
            self.on(method, "/wp-json/wp/v2" + path, self.signed(handler))

    def signed(self, handler):
        def answer(request, **parts):
            if request.headers.get("authorization") != "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode():
                raise refused(401, "incorrect_password", "The provided password is an invalid application password.")
            with self.lock:
                return handler(request, **parts)
        return answer

    def now(self):
        self.clock += 1
        return f"2026-01-01T00:{self.clock // 60:02}:{self.clock % 60:02}"

    def entry(self, id):
        if int(id) not in self.posts:
            raise refused(404, "rest_post_invalid_id", "Invalid post ID.")
        return self.posts[int(id)]

    def shown(self, request, post):
        """The raw texts are for those who may edit, and ask for it."""
        texts = {name: {"raw": post[name], "rendered": "<p>" + post[name] + "</p>"} for name in ("title", "content")}
        if request.query.get("context") != ["edit"]:
            texts = {name: {"rendered": one["rendered"]} for name, one in texts.items()}
        return {**post, **texts}

    def take(self, post, fields):
        for name, value in fields.items():
            if name not in ("title", "content", "status", "slug", "excerpt", "author"):
                continue  # WordPress ignores what it does not know
            if name == "author" and value != 1:
                raise refused(400, "rest_invalid_param", "Invalid parameter(s): author")
            post[name] = value
        post["modified_gmt"] = self.now()

    def find(self, request):
        assert request.query["status"] == ["any"], request.query
        return [self.shown(request, post) for post in self.posts.values() if post["slug"] == request.query["slug"][0]]

    def create(self, request):
        if not request.json.get("title") and not request.json.get("content") and not request.json.get("excerpt"):
            raise refused(400, "empty_content", "Content, title, and excerpt are empty.")
        id = 70 + len(self.posts)
        post = {"id": id, "title": "", "content": "", "slug": "", "status": "draft", "link": f"{self.url}/?p={id}"}
        self.take(post, request.json)
        self.posts[id] = post
        return 201, self.shown(request, post)

    def get(self, request, id):
        return self.shown(request, self.entry(id))

    def update(self, request, id):
        self.take(self.entry(id), request.json)
        return self.shown(request, self.entry(id))

    def saved(self, request, id):
        self.entry(id)
        return [self.shown(request, save) for save in self.autosaves.get(int(id), [])]

    def autosave(self, request, id):
        assert self.entry(id)["status"] == "publish" and set(request.json) <= {"title", "content", "excerpt"}, request.json
        if all(" ".join(value.split()) == " ".join(self.entry(id)[name].split()) for name, value in request.json.items()):
            if not self.autosaves.get(int(id)):
                raise refused(400, "rest_autosave_no_changes", "There is nothing to save. The autosave and the post content are the same.")
            return self.shown(request, self.autosaves[int(id)][0])  # as it was: nothing is saved
        save = {"id": 900 + int(id), "parent": int(id), "title": request.json["title"], "content": request.json["content"], "modified_gmt": self.now()}
        self.autosaves[int(id)] = [save]
        return self.shown(request, save)

    def drop(self, request, id, save):
        """An autosave is a revision. There is no trash for these."""
        if request.query.get("force") != ["true"]:
            raise refused(501, "rest_trash_not_supported", "Revisions do not support trashing. Set 'force=true' to delete.")
        kept = [one for one in self.autosaves.get(int(id), []) if one["id"] != int(save)]
        if len(kept) == len(self.autosaves.get(int(id), [])):
            raise refused(404, "rest_post_invalid_id", "Invalid revision ID.")
        self.autosaves[int(id)] = kept
        return {"deleted": True, "previous": {}}

    # ---- what tests ask of every CMS ----
    def public(self, slug):
        return next(((post["title"], post["content"]) for post in self.posts.values() if post["slug"] == slug and post["status"] == "publish"), None)

    def edit(self, id, body):
        """Somebody else changes what is public."""
        self.take(self.posts[int(id)], {"content": body})

    def count(self):
        return len(self.posts)
