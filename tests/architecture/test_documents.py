"""Documents that others rely on: links lead somewhere, generated pages are up to date."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    targets = LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    local = [t.partition("#")[0] for t in targets if "://" not in t and not t.startswith("#")]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_table_of_settings_is_what_the_code_says():
    printed = subprocess.run(
        [sys.executable, "-m", "api", "settings"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert written == printed, "run `.venv/bin/python -m api settings > docs/settings.md`"


def test_every_decision_names_its_alternatives():
    decisions = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert decisions
    assert [
        decision.name
        for decision in decisions
        if "\n## Alternatives\n" not in decision.read_text(encoding="utf-8")
    ] == []
