"""What a person reads of their app's past: who, what, when; of their own apps only."""

import pytest
from pygit2.enums import ObjectType

from api.clients.commit_index import AuditFilter
from api.clients.git_trees import Same
from api.domain.commit_message import COMMITTER, Person
from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.errors import InvalidRequest, NotFound
from tests.history.people import EVE, FORGE, MALLORY
from tests.publishing.stack import HELLO, account, folder

BOB = account("ubob")


async def update(stack, ref, **draft) -> str:
    stored = await stack.deployments.update(BOB, ref, AppDraft(**draft), None, "r")
    return stored.commit


async def test_entries_say_who_did_what_newest_first(stack, people):
    app = await stack.deploy(BOB)
    path = folder(app.ref)
    second = await update(stack, app.ref, code=HELLO + "# two\n", env={"A": "b"})
    third = people.push({f"{path}/code/extra.py": b"x = 1\ny = 2\n"}, "Add a file")
    page = await stack.history.page(app.ref, None, 20)
    assert [e.commit.commit for e in page.entries] == [third, second, app.commit]
    assert [(e.commit.by.name, e.commit.by.kind, e.commit.action) for e in page.entries] == [
        ("Eve", "by_hand", "edit"),
        ("name-ubob", "editor", "deploy"),
        ("name-ubob", "editor", "deploy"),
    ]
    assert page.entries[0].commit.by.subject == "Add a file"
    told = [[(f.path, f.status, f.added, f.removed) for f in e.changes.files] for e in page.entries]
    assert told == [
        [("code/extra.py", "added", 2, 0)],
        [("app.yaml", "modified", 2, 1), ("code/user_code.py", "modified", 1, 0)],
        [
            ("app.yaml", "added", 10, 0),
            ("code/user_code.py", "added", 3, 0),
            ("overlay/kustomization.yaml", "added", 5, 0),
        ],
    ]
    assert (page.deleted, page.next) == (False, None)


async def test_pages_follow_each_other_without_gap_or_repetition(stack):
    app = await stack.deploy(BOB)
    commits = [app.commit]
    commits += [await update(stack, app.ref, name=f"Name {n}") for n in range(5)]
    seen, before = [], None
    while True:
        page = await stack.history.page(app.ref, before, 2)
        seen += [entry.commit.commit for entry in page.entries]
        if page.next is None:
            break
        before = page.next
    assert seen == commits[::-1]


async def test_a_page_goes_on_where_it_was_when_new_commits_arrive(stack):
    app = await stack.deploy(BOB)
    second = await update(stack, app.ref, name="Two")
    first = await stack.history.page(app.ref, None, 1)
    await update(stack, app.ref, name="Three")
    older = await stack.history.page(app.ref, first.next, 5)
    assert [e.commit.commit for e in first.entries] == [second]
    assert [e.commit.commit for e in older.entries] == [app.commit]


async def test_a_place_that_is_not_in_the_apps_history_is_refused(stack):
    app, other = await stack.deploy(BOB), await stack.deploy(BOB, "Other")
    for before in ("nonsense", "0" * 40, other.commit, app.commit[:10], ""):
        with pytest.raises(InvalidRequest, match="no page before"):
            await stack.history.page(app.ref, before, 5)


async def test_a_deleted_app_keeps_its_history(stack):
    app = await stack.deploy(BOB)
    gone = await stack.deployments.delete(BOB, app.ref, "r")
    page = await stack.history.page(app.ref, None, 5)
    assert page.deleted
    assert [e.commit.commit for e in page.entries] == [gone, app.commit]
    assert {f.status for f in page.entries[0].changes.files} == {"deleted"}


async def test_nobody_elses_history_is_found(stack):
    app = await stack.deploy(BOB)
    for ref in (AppRef("ueve", app.ref.app_id), AppRef("ubob", "never"), AppRef("ubob", "secrets")):
        with pytest.raises(NotFound, match="no app"):
            await stack.history.page(ref, None, 5)
        with pytest.raises(NotFound, match="no app"):
            await stack.history.commit(ref, app.commit)


async def test_an_app_in_somebody_elses_folder_has_a_history_of_its_own(stack, people):
    app = await stack.deploy(BOB)
    copy = AppRef("ueve", app.ref.app_id)
    theft = people.push({f"{folder(copy)}/code/user_code.py": b"# mine now\n"})
    page = await stack.history.page(copy, None, 5)
    assert [e.commit.commit for e in page.entries] == [theft]
    page = await stack.history.page(app.ref, None, 5)
    assert [e.commit.commit for e in page.entries] == [app.commit]
    assert await stack.history.owner(app.ref.app_id) == "ubob"


async def test_merging_main_backwards_gives_nobody_elses_id_away(stack, people):
    root = people.head()
    app = await stack.deploy(BOB)
    theft = {f"{folder(AppRef('ueve', app.ref.app_id))}/app.yaml": b"id: x\n"}
    own = people.commit([root], theft, author=MALLORY)
    people.move(people.commit([own, people.head()], theft, "Merge main", base=people.head()))
    await stack.intents.indexed_tip()
    assert await stack.history.owner(app.ref.app_id) == "ubob"


async def test_a_merged_pull_request_shows_its_commits_and_its_author(stack, people):
    app = await stack.deploy(BOB)
    main = people.head()
    edit = {f"{folder(app.ref)}/code/b.py": b"x = 1\n"}
    side = people.commit([main], edit, "Add b", author=MALLORY, at=1_700_000_000)
    merge = people.commit(
        [main, side], {}, "Merge pull request #3 from x/y", author=EVE, committer=FORGE, base=side
    )
    people.move(merge)
    page = await stack.history.page(app.ref, None, 5)
    assert [e.commit.commit for e in page.entries] == [side, app.commit]
    newest = page.entries[0].commit
    assert (newest.by.name, newest.by.kind, newest.by.subject) == (
        "Mallory",
        "pull_request",
        "Add b",
    )
    assert newest.at.timestamp() == 1_800_000_000  # when it came onto main
    assert newest.landed == "Merge pull request #3 from x/y"
    squash = people.push(
        {f"{folder(app.ref)}/code/b.py": b"x = 2\n"}, "Better b (#4)\n", committer=FORGE
    )
    (entry,) = (await stack.history.page(app.ref, None, 1)).entries
    assert (entry.commit.commit, entry.commit.by.kind) == (squash, "pull_request")
    assert entry.commit.landed == "Better b (#4)"


async def test_administrators_and_cleanup_are_told_apart(stack, people):
    app = await stack.deploy(BOB)
    path = f"{folder(app.ref)}/app.yaml"
    message = f"hibernate {app.ref.app_id}: idle\n\nAction: hibernate\n"
    people.push({path: b"a"}, message, author=COMMITTER)
    people.push({path: b"b"}, message, author=Person("root", COMMITTER.email), committer=COMMITTER)
    page = await stack.history.page(app.ref, None, 2)
    assert [e.commit.by.kind for e in page.entries] == ["administrator", "cleanup"]


async def test_trailers_of_people_say_nothing_about_the_action(stack, people):
    app = await stack.deploy(BOB)
    people.push({f"{folder(app.ref)}/app.yaml": b"a"}, "x\n\nAction: delete\n")
    (entry,) = (await stack.history.page(app.ref, None, 1)).entries
    assert entry.commit.action == "edit"


@pytest.mark.parametrize("name", ["a\x1b[31mred", "a\u202eb", "a\u2066b\u2069", "\x7f\x85\x9b", ""])
async def test_names_and_subjects_are_shown_without_what_drives_a_terminal(stack, people, name):
    app = await stack.deploy(BOB)
    author = Person(name or "x", "x@example.org")
    people.push({f"{folder(app.ref)}/code/b.py": b""}, f"say {name}\x1b[2J\n", author=author)
    (entry,) = (await stack.history.page(app.ref, None, 1)).entries
    shown = entry.commit.by.name + entry.commit.by.subject
    assert shown.isprintable()
    assert entry.commit.by.subject.startswith("say")


async def test_what_is_no_text_has_no_lines(stack, people):
    app = await stack.deploy(BOB)
    path = folder(app.ref)
    people.push(
        {
            f"{path}/code/binary.bin": b"\x00\x01" * 10,
            f"{path}/code/huge.txt": b"x\n" * 200_000,
            f"{path}/code/latin.txt": "é\n".encode("latin-1"),
        }
    )
    (entry,) = (await stack.history.page(app.ref, None, 1)).entries
    lines = {f.path: (f.added, f.removed) for f in entry.changes.files}
    assert lines == {
        "code/binary.bin": (None, None),
        "code/huge.txt": (None, None),
        "code/latin.txt": (1, 0),
    }
    past = await stack.history.version(app.ref, entry.commit.commit)
    assert past.snapshot.omitted == ("code/huge.txt",)
    texts = {f.change.path: f.new for f in past.snapshot.changes}
    assert texts == {"code/binary.bin": None, "code/huge.txt": None, "code/latin.txt": "�\n"}


async def test_thousands_of_changed_files_are_counted_and_not_shown(stack, people):
    app = await stack.deploy(BOB)
    path = folder(app.ref)
    people.push({f"{path}/code/f{n:04}.py": b"x = 1\n" for n in range(1500)})
    (entry,) = (await stack.history.page(app.ref, None, 1)).entries
    assert (len(entry.changes.files), entry.changes.more) == (100, 1400)
    past = await stack.history.version(app.ref, entry.commit.commit)
    assert (len(past.snapshot.changes), past.snapshot.more) == (100, 1400)


async def test_a_path_that_is_not_utf_8_is_shown_somehow(stack, people):
    app = await stack.deploy(BOB)
    git2 = people.git2
    code = git2[people.head()].tree[f"{folder(app.ref)}/code"]
    odd = b"100644 caf\xe9.py\0" + git2.create_blob(b"x = 1\n").raw
    tree = git2.write(ObjectType.TREE, odd + code.read_raw())
    people.push({f"{folder(app.ref)}/code": Same(str(tree), "folder")})
    (entry,) = (await stack.history.page(app.ref, None, 1)).entries
    assert [f.path for f in entry.changes.files] == ["code/caf\\xe9.py"]
    past = await stack.history.version(app.ref, entry.commit.commit)
    assert "code/caf\\xe9.py" in past.snapshot.files


async def test_a_version_holds_files_settings_and_both_sides_of_every_change(stack, people):
    app = await stack.deploy(BOB)
    second = await update(stack, app.ref, code=HELLO + "# two\n", env={"A": "b"}, name="Two")
    secret = f"{folder(app.ref)}/secrets/TOKEN.sops.yaml"
    people.push({f"{folder(app.ref)}/code/user_code.py": None, secret: b"x\n"})
    past = await stack.history.version(app.ref, second)
    assert past.app is not None
    assert (past.app.name, past.app.env, past.commit.base) == ("Two", {"A": "b"}, app.commit)
    assert past.snapshot.files["code/user_code.py"] == (HELLO + "# two\n").encode()
    changed = {f.change.path: f for f in past.snapshot.changes}
    code = changed["code/user_code.py"]
    assert (code.old, code.new) == (HELLO, HELLO + "# two\n")
    assert code.diff is not None
    assert code.diff.endswith("+# two\n")
    third = await stack.history.version(app.ref, people.head())
    told = {f.change.path: f for f in third.snapshot.changes}
    assert (told["code/user_code.py"].old, told["code/user_code.py"].new) == (
        HELLO + "# two\n",
        "",
    )
    withheld = told["secrets/TOKEN.sops.yaml"]
    assert (withheld.change.added, withheld.diff, withheld.new) == (1, None, None)
    assert not [path for path in third.snapshot.files if path.startswith("secrets/")]


async def test_only_whole_ids_of_the_apps_own_commits_are_versions(stack, people):
    app, other = await stack.deploy(BOB), await stack.deploy(BOB, "Other")
    stray = people.push({"README.md": b"x"})
    unmerged = people.commit([people.head()], {f"{folder(app.ref)}/app.yaml": b"x"})
    tree = people.tree(app.commit)
    wrong = [other.commit, stray, unmerged, tree, "HEAD", "main", "", "zz", "0" * 40, "\x00"]
    for commit in [*wrong, app.commit[:39], app.commit.upper(), app.commit + "0", f"{app.commit}~"]:
        with pytest.raises(NotFound, match="has no commit"):
            await stack.history.version(app.ref, commit)


async def test_a_forced_main_is_reported_and_what_it_lost_is_gone(stack, people, caplog):
    app = await stack.deploy(BOB)
    lost = await update(stack, app.ref, name="Two")
    await stack.history.page(app.ref, None, 5)
    people.move(app.commit)
    page = await stack.history.page(app.ref, None, 5)
    assert [e.commit.commit for e in page.entries] == [app.commit]
    with pytest.raises(NotFound):
        await stack.history.version(app.ref, lost)
    assert "main was rewound" in caplog.text
    (rewind,) = (await stack.history.audit(AuditFilter(), None, 5)).rewinds
    assert (rewind.old, rewind.new) == (lost, app.commit)
    kept = people.git("cat-file", "-t", lost)
    assert kept == ["commit"]  # nothing is thrown away
