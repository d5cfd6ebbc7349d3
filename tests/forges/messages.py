"""Webhooks of the shapes that the forges document, with the fields that are not read too."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from api.domain.forge_events import EVENT_HEADERS, ForgeName
from api.webhooks import Delivery

SECRET = "5f0a" * 16
HEAD = "c0ffee" + "0" * 34
TIP = "beef" + "0" * 36
EVENTS: dict[ForgeName, tuple[str, str]] = {
    "github": ("push", "pull_request"),
    "gitea": ("push", "pull_request"),
    "forgejo": ("push", "pull_request"),
    "gitlab": ("Push Hook", "Merge Request Hook"),
}


def push(forge: ForgeName, ref: str = "refs/heads/main", repository: str = "me/apps") -> Any:
    """https://docs.github.com/en/webhooks/webhook-events-and-payloads#push, and GitLab's."""
    common = {"ref": ref, "before": "0" * 40, "after": TIP, "commits": [{"message": "x"}]}
    if forge == "gitlab":
        project = {"id": 15, "path_with_namespace": repository, "default_branch": "main"}
        return common | {"object_kind": "push", "user_username": "alice", "project": project}
    owner, _, name = repository.partition("/")
    whole = {"id": 1, "full_name": repository, "name": name, "owner": {"login": owner}}
    return common | {"repository": whole, "pusher": {"name": "alice"}, "forced": False}


def asked(  # noqa: PLR0913  (what a test breaks)
    forge: ForgeName,
    action: str | None = None,
    *,
    to: str = "main",
    number: Any = 12,
    head: Any = HEAD,
    author: Any = "alice",
) -> Any:
    """…#pull_request, and https://docs.gitlab.com/…/webhook_events/#merge-request-events."""
    if forge == "gitlab":
        attributes = {
            "id": 99,
            "iid": number,
            "action": action or "open",
            "source_branch": "change",
            "target_branch": to,
            "last_commit": {"id": head, "message": "fixed readme"},
            "state": "opened",
        }
        return {
            "object_kind": "merge_request",
            "user": {"id": 1, "name": "Alice", "username": author},
            "project": {"id": 1, "path_with_namespace": "me/apps"},
            "object_attributes": attributes,
        }
    return {
        "action": action or "opened",
        "number": number,
        "pull_request": {
            "id": 1,
            "number": number,
            "state": "open",
            "title": "Change",
            "user": {"id": 7, "login": author, "type": "User"},
            "head": {"label": "alice:change", "ref": "change", "sha": head},
            "base": {"label": "me:main", "ref": to, "sha": TIP},
        },
        "repository": {"id": 1, "full_name": "me/apps"},
        "sender": {"login": "alice"},
    }


def signed(forge: ForgeName, event: str, body: bytes, secret: str = SECRET) -> Mapping[str, str]:
    """What the forge sends beside it."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    proof = {
        "github": {"x-hub-signature-256": f"sha256={digest}"},
        "gitlab": {"x-gitlab-token": secret},
    }.get(forge, {"x-gitea-signature": digest})
    return {EVENT_HEADERS[forge].lower(): event, **proof}


def delivery(forge: ForgeName, event: str, content: Any, secret: str = SECRET) -> Delivery:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Delivery(forge, signed(forge, event, body, secret), body)
