"""History, rollback and restore as a browser uses them, in a running platform."""

import subprocess
import sys

from tests.product import ROOT, Product

FIRST = (
    'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef root():\n    return 1\n'
)
SECOND = FIRST.replace("return 1", "return 2")


def test_an_app_goes_back_is_deleted_and_comes_back(product: Product):
    owner = product.sign_up()
    app = owner.create("Story", {"user_code.py": FIRST})
    path = f"/api/apps/{app['app_id']}"
    owner.live(app["app_id"], app["commit"])
    second = owner.ok("PUT", path, json={"code": SECOND})["commit"]
    owner.live(app["app_id"], second)

    page = owner.ok("GET", f"{path}/history")
    assert [(e["commit"], e["action"], e["live"]) for e in page["entries"]] == [
        (second, "deploy", True),
        (app["commit"], "deploy", False),
    ]
    assert page["entries"][0]["who"] == {
        "name": owner.username,
        "kind": "editor",
        "pull_request": None,
    }
    version = owner.ok("GET", f"{path}/history/{second}")
    assert version["files"] == {"user_code.py": SECOND}
    assert version["parent"] == app["commit"]
    (change,) = version["changes"]
    assert (change["path"], change["old"], change["new"]) == ("code/user_code.py", FIRST, SECOND)
    assert "-    return 1\n+    return 2\n" in change["diff"]

    back = owner.ok("POST", f"{path}/rollback", json={"commit": app["commit"]})
    owner.live(app["app_id"], back["commit"])
    assert product.visit(app["url"]).json() == 1
    owner.ok("DELETE", path)
    page = owner.ok("GET", f"{path}/history?limit=1")
    assert (page["deleted"], page["entries"][0]["action"]) == (True, "delete")
    restored = owner.ok("POST", f"{path}/restore")
    assert (restored["app_id"], restored["url"]) == (app["app_id"], app["url"])
    owner.live(app["app_id"], restored["commit"])
    assert product.visit(app["url"]).json() == 1
    older = owner.ok("GET", f"{path}/history", params={"before": page["next"]})
    actions = [entry["action"] for entry in older["entries"]]
    assert actions == ["rollback", "deploy", "deploy"]

    refused = owner.http.post(f"{path}/rollback", json={"commit": "0" * 40})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "commit_not_found")
    refused = owner.http.get(f"{path}/history", params={"before": "x"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request")


def test_only_administrators_read_the_audit_log(product: Product):
    person, admin = product.sign_up(), product.sign_up()
    app = person.create("Audited", {"user_code.py": FIRST})
    refused = person.http.get("/api/audit")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
    subprocess.run(
        [sys.executable, "-m", "api", "admin", "make-admin", admin.username],
        cwd=ROOT,
        env=product.environment(),
        check=True,
        capture_output=True,
    )
    page = admin.ok("GET", "/api/audit", params={"user": person.username, "action": "deploy"})
    (entry,) = page["entries"]
    assert entry["commit"] == app["commit"]
    assert entry["apps"] == [{"user_id": person.user_id, "app_id": app["app_id"]}]
    assert page["next"] is None
    assert admin.ok("GET", "/api/audit", params={"app": "no-such-app"})["entries"] == []
    bounds = {"since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00"}
    assert admin.ok("GET", "/api/audit", params=bounds)["entries"] == []
    for wrong in ({"since": "soon"}, {"limit": "0"}, {"limit": "101"}, {"before": "x"}):
        assert admin.http.get("/api/audit", params=wrong).status_code == 422
