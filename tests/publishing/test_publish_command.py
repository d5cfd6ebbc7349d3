"""`python -m api publish`, as an operator runs it beside the server."""

import json
import subprocess
import sys
from pathlib import Path

from api.domain.names import shard_of
from tests.product import ROOT, Product, eventually
from tests.publishing.stack import FORBIDDEN, HELLO


def publish(product: Product, *arguments: str) -> subprocess.CompletedProcess[str]:
    return operate(product, "publish", *arguments)


def operate(product: Product, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env=product.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def answers(product: Product, url: str) -> bool:
    return product.visit(f"{url}openapi.json").is_success


def test_a_rewind_waits_until_an_operator_accepts_it_and_deploys_go_on(tmp_path: Path):
    with Product(tmp_path / "data") as product:
        ada = product.sign_up("ada")
        one, two = (ada.create(name, {"user_code.py": HELLO}) for name in ("One", "Two"))
        ada.live(one["app_id"])
        ada.live(two["app_id"])
        assert publish(product).stdout.startswith("Nothing to publish")
        rewound = product.git("rev-parse", "main").strip()
        product.git("update-ref", "refs/heads/main", "main~1")
        main = product.git("rev-parse", "main").strip()
        shard = shard_of(ada.user_id, 2)

        waits = publish(product, "--json")
        assert waits.returncode == 1, waits.stderr
        (row,) = json.loads(waits.stdout)
        assert (row["shard"], row["state"]) == (shard, "waits")
        assert f"--accept {main}" in row["message"]
        for wrong in (rewound, main[:12], "main", "0" * 40, ""):
            refused = publish(product, "--accept", wrong)
            assert refused.returncode == 1
            assert "is not a commit of main" in refused.stderr
            assert "Traceback" not in refused.stderr

        accepted = publish(product, "--accept", main, "--json")
        assert accepted.returncode == 0, accepted.stderr
        (row,) = json.loads(accepted.stdout)
        assert (row["shard"], row["state"], row["message"]) == (
            shard,
            "published",
            f"withdraw {two['app_id']}",
        )
        assert f"Accepted-Rewind: {main}" in product.git("log", "-1", f"flux/{shard}")
        eventually("the app is gone", lambda: not answers(product, two["url"]))
        three = ada.create("Three", {"user_code.py": HELLO})
        ada.live(three["app_id"])
        assert answers(product, one["url"])
        looked_again = operate(product, "audit", "verify")
        assert looked_again.returncode == 0, looked_again.stdout


def test_what_is_held_is_told_and_is_no_failure(product: Product):
    person = product.sign_up()
    app = person.create("One", {"user_code.py": HELLO})
    main = product.git("rev-parse", "main").strip()
    path = f"apps/{shard_of(person.user_id, 2)}/{person.user_id}/{app['app_id']}/code/user_code.py"
    with_index = {**product.environment(), "GIT_INDEX_FILE": str(product.data_dir / "by-hand")}

    def git(*arguments: str, text: str | None = None) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=Eve", "-c", "user.email=eve@example.org", *arguments],
            cwd=product.repository,
            env=with_index,
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    git("read-tree", main)
    blob = git("hash-object", "-w", "--stdin", text=FORBIDDEN)
    git("update-index", "--cacheinfo", f"100644,{blob},{path}")
    commit = git("commit-tree", git("write-tree"), "-p", main, "-m", "By hand")
    git("update-ref", "refs/heads/main", commit, main)
    told = publish(product, "--json")
    assert told.returncode == 0, told.stdout
    held = [row for row in json.loads(told.stdout) if row["app_id"] == app["app_id"]]
    assert [row["state"] for row in held] == ["held"]
    assert "os" in held[0]["message"]


def test_without_a_repository_it_says_so(tmp_path: Path):
    done = publish(Product(tmp_path / "data"))
    assert done.returncode == 1
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr
