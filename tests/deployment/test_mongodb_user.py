"""The backend's login at the component's MongoDB: which commands make it, and who holds what.

mongosh is not to be had here, so Node runs the script with a `db` that notes what it is asked: the
exact commands are what can be shown without a server that has roles.
"""

import json
import re
import subprocess

import pytest

from tests.deployment.built import DEPLOY, OVERLAYS, overlay, pod_templates

SCRIPT = DEPLOY / "components/mongodb/platform-user.js"
RIGHTS = {"pwd": "secret", "roles": [{"role": "readWrite", "db": "fastapi_platform"}]}
NOTED = """
const said = [];
const note = (command) => (...given) => { said.push([command, ...given]); return there; };
const there = JSON.parse(process.argv[1]);
const db = { getSiblingDB: (name) => (said.push(["use", name]), {
  getUser: note("getUser"), createUser: note("createUser"), updateUser: note("updateUser") }) };
require("vm").runInNewContext(require("fs").readFileSync(process.argv[2], "utf8"), { db, process });
console.log(JSON.stringify(said));
"""


def run(*, there: bool, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "-e", NOTED, "--", json.dumps(there), SCRIPT],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("there", "last"),
    [
        (False, ["createUser", {"user": "platform", **RIGHTS}]),
        (True, ["updateUser", "platform", RIGHTS]),
    ],
)
def test_the_platforms_user_may_read_and_write_one_database(there: bool, last: list):  # noqa: FBT001
    done = run(there=there, PLATFORM_PASSWORD="secret")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["use", "admin"], ["getUser", "platform"], last]


def test_without_a_password_no_user_is_made():
    done = run(there=False)
    assert done.returncode != 0
    assert "platform-password" in done.stderr


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_server_makes_the_user_and_the_backend_knows_no_other(name: str):
    templates = pod_templates(overlay(name))
    [server] = templates["StatefulSet mongodb"]["spec"]["containers"]
    keys = {
        each["name"]: each["valueFrom"]["secretKeyRef"]["key"]
        for each in server["env"]
        if "valueFrom" in each
    }
    assert keys["PLATFORM_PASSWORD"] == "platform-password"
    assert keys["MONGO_INITDB_ROOT_PASSWORD"] == "password"
    mounts = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}
    volumes = {v["name"]: v for v in templates["StatefulSet mongodb"]["spec"]["volumes"]}
    scripts = volumes[mounts["/docker-entrypoint-initdb.d"]]["configMap"]["name"]
    data = overlay(name)["ConfigMap", scripts]["data"]
    assert data == {SCRIPT.name: SCRIPT.read_text()}
    backend = templates["Deployment backend"]["spec"]["containers"][0]
    assert {"name": "mongodb"} not in [each.get("secretRef") for each in backend["envFrom"]]


def test_the_guide_logs_the_backend_in_as_that_user():
    guide = (DEPLOY.parent / "docs/DEPLOYMENT.md").read_text()
    [uri] = re.findall(r"mongodb://(\w+):\$\(cat \"\$KEYS/([\w-]+)\"\)@\$MONGODB/(\w+)", guide)
    assert uri == ("platform", "mongodb-password", RIGHTS["roles"][0]["db"])
    assert '--from-file=platform-password="$KEYS/mongodb-password"' in guide
    assert (
        '--from-literal=username=root --from-file=password="$KEYS/mongodb-root-password"' in guide
    )
