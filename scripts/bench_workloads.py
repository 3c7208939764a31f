"""The workflows and the request that scripts/bench runs."""
import json

HELLO = """
name: one-step
on: [{event: github.push, if: "${{ event.data.ref == 'refs/heads/main' }}"}]
steps:
  - id: greet
    with: {ref: "${{ event.data.ref }}", pusher: "${{ event.data.pusher.name }}"}
    lua: return {text = input.pusher .. " pushed " .. input.ref}
"""
OTHER = """
name: other-%(n)d
on: [{event: github.other_%(n)d, if: "${{ event.data.ref == 'refs/heads/main' }}"}]
steps: [{id: greet, set: {ref: "${{ event.data.ref }}"}}]
"""
WAITING = """
name: waiting
on: [{event: github.push}]
steps: [{id: ask, timeout: 10m, lua: "return {status = ctx.http{url = 'http://127.0.0.1:%d/'}.status}"}]
"""
SLEEPING = """
name: sleeping
on: [{event: github.push}]
timeout: 60d
steps: [{id: nap, sleep: 30d}, {id: done, lua: "return {}"}]
"""
FAN = """
name: fan
on: [{event: github.fan}]
steps:
  - id: fan
    foreach: ${{ event.data.items }}
    concurrency: 500
    steps: [{id: nap, lua: "ctx.sleep(0.1) return {}"}]
"""
TESTED = """
name: push
on: [{event: github.push, if: "${{ event.data.ref == 'refs/heads/main' }}"}]
steps:
  - {id: text, set: {text: "a push to ${{ event.data.ref }}"}}
  - {id: post, with: {text: "${{ steps.text.text }}"}, lua: "return ctx.http{url = 'http://chat.example/', json = input}"}
"""
CONFIG = """
listen: [http://127.0.0.1:%d]
sources:
  github: {path: /in/github, verify: github, secrets: {webhook_secret: {env: BENCH_SECRET}}}
"""


def payload() -> bytes:
    """A GitHub push of 6,923 bytes, the size that the yardstick was read with."""
    user = {"login": "mona", "id": 583231, "avatar_url": "https://avatars.example.com/u/583231?v=4", "url": "https://api.example.com/users/mona",
            "html_url": "https://example.com/mona", "type": "User", "site_admin": False}
    repository = {"id": 35129377, "node_id": "MDEwOlJlcG9zaXRvcnkzNTEyOTM3Nw==", "name": "doorbell", "full_name": "mona/doorbell", "private": False, "owner": user}
    for kind in ("forks", "keys", "collaborators", "teams", "hooks", "issue_events", "events", "assignees", "branches", "tags", "blobs", "git_tags", "git_refs", "trees",
                 "statuses", "languages", "stargazers", "contributors", "subscribers", "subscription", "commits", "git_commits", "comments", "issue_comment", "contents",
                 "compare", "merges", "archive", "downloads", "issues", "pulls", "milestones", "notifications", "labels", "releases", "deployments"):
        repository[kind + "_url"] = f"https://api.example.com/repos/mona/doorbell/{kind}{{/id}}"
    commit = {"id": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c", "tree_id": "f9d2a07e9488b91af2641b26b9407fe22a451433", "distinct": True, "message": "Answer before the third ring",
              "timestamp": "2026-05-05T19:40:15-04:00", "url": "https://example.com/mona/doorbell/commit/0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
              "author": {"name": "Mona", "email": "mona@example.com", "username": "mona"}, "committer": {"name": "Mona", "email": "mona@example.com", "username": "mona"},
              "added": [], "removed": [], "modified": ["README.md"]}
    push = {"ref": "refs/heads/main", "before": "9049f1265b7d61be4a8904a9a27120d2064dab3b", "after": commit["id"], "created": False, "deleted": False, "forced": False,
            "base_ref": None, "compare": "https://example.com/mona/doorbell/compare/9049f12...0d1a26e", "commits": [commit], "head_commit": commit, "repository": repository,
            "pusher": {"name": "mona", "email": "mona@example.com"}, "sender": user, "pad": ""}
    push["pad"] = "x" * (6923 - len(json.dumps(push)))
    return json.dumps(push).encode()
