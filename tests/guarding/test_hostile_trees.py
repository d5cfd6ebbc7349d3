"""Whatever tree somebody pushes: an answer in time, and never a traceback."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.guarding.changes import BOB, HELLO, app_files, folder, push_odd
from tests.history.people import Repository

NAMES = st.one_of(
    st.sampled_from(
        [b"apps", b"5e", b"ubob", b"one", b"code", b"overlay", b"secrets", b"app.yaml", b"..",
         b".git", b"tenant.yaml", b"kustomization.yaml", b"user_code.py", b"clusters", b"a/b",
         b"platform.yaml", b"people.yaml", b"README.md", b"KEY.sops.yaml", b"\xff", b"ONE"]
    ),
    st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name),
)  # fmt: skip
INSIDE = [part.encode() for part in folder(BOB).split("/")]
PATHS = st.builds(
    lambda depth, names: [*INSIDE[:depth], *names],
    st.integers(0, len(INSIDE)),
    st.lists(NAMES, min_size=1, max_size=4),
)
MODES = st.sampled_from(
    [b"100644", b"100755", b"120000", b"160000", b"40000", b"040000", b"100664", b"644", b"0"]
)
CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([HELLO, b"kind: App\n", b"a: &a [*a]\n", b"[" * 5000, b"{}", b"\x00"]),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
ENTRIES = st.lists(st.tuples(PATHS, MODES, CONTENTS, st.booleans()), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def opened(with_an_app: Path):
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(with_an_app, folder / "repo.git", symlinks=True)
    yield Repository(folder / "repo.git")
    shutil.rmtree(folder)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(entries=ENTRIES, author=st.sampled_from([None, "bob"]))
def test_any_tree_gets_an_answer(guard, opened, entries, author):
    start = opened.head()
    try:
        for path, mode, content, missing in entries:
            try:
                push_odd(opened, path, mode, content, raw=b"\x33" * 20 if missing else None)
            except Exception:  # noqa: BLE001, S112  (libgit2 itself cannot build on such a tree)
                continue
        for base in (start, None):
            report = guard(opened, base=base, author=author if base else None)
            assert report.passed or report.findings
            assert all(found.message and found.line >= 1 for found in report.findings)
    finally:
        opened.move(start)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(app_files(BOB))), CONTENTS)
def test_any_content_gets_an_answer(guard, opened, path, content):
    start = opened.head()
    try:
        opened.push({path: content})
        guard(opened, base=start)
    finally:
        opened.move(start)
