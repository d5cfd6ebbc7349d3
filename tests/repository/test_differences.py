"""Two folders compared by their raw bytes, against the slow way: every name of both."""

import pygit2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygit2.enums import FileMode

from api.clients import git_trees
from api.clients.git_differences import differences


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return pygit2.init_repository(str(tmp_path_factory.mktemp("bare")), bare=True)


NAMES = st.sampled_from([f"{n:03x}" for n in range(600)])
#: What stands under a name: nothing, one of a few files, or a folder with one of a few files.
CONTENT = st.sampled_from(["", "a", "b", "40000 x", "folder/a", "folder/b"])


def made(repository, content):
    builder = repository.TreeBuilder()
    for name, what in content.items():
        kind, _, text = what.rpartition("/")
        if kind:
            below = repository.TreeBuilder()
            below.insert("f", repository.create_blob(text.encode()), FileMode.BLOB)
            builder.insert(name, below.write(), FileMode.TREE)
        elif what:
            builder.insert(name, repository.create_blob(what.encode()), FileMode.BLOB)
    return repository[builder.write()]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, CONTENT), st.dictionaries(NAMES, CONTENT))
def test_exactly_the_names_that_differ_are_told(repository, shared, changed):
    before, after = made(repository, shared), made(repository, shared | changed)
    expected = {name.encode() for name, what in changed.items() if shared.get(name, "") != what}
    for old, new in ((before, after), (after, before)):
        found = list(differences(repository, old, new))
        assert {one.name for one in found} == expected
        assert len(found) == len(expected)


@settings(deadline=None)
@given(st.sets(st.integers(0, 599), max_size=5), st.booleans())
def test_a_large_folder_is_edited_as_if_it_were_built_anew(repository, touched, removes):
    content = {f"{n:03x}": "folder/a" for n in range(600)}
    commit = repository.create_commit(None, WHO, WHO, "", made(repository, content).id, [])
    edits = {f"{n:03x}/f": b"b" for n in touched}
    expected = content | {f"{n:03x}": "folder/b" for n in touched}
    if removes:  # more than folders in place of others: the other way of writing it
        edits["fff"] = b"a"
        edits["001"] = None
        edits.pop("001/f", None)
        expected = {k: v for k, v in expected.items() if k != "001"} | {"fff": "a"}
    found = git_trees.store(repository, edits, str(commit))
    assert found == str(made(repository, expected).id)


def test_an_edit_finds_its_folder_beside_one_whose_name_ends_alike(repository):
    content = {f"{n:03x}": "folder/a" for n in range(600)} | {"!40000 001": "folder/a"}
    commit = repository.create_commit(None, WHO, WHO, "", made(repository, content).id, [])
    found = git_trees.store(repository, {"001/f": b"b"}, str(commit))
    assert found == str(made(repository, content | {"001": "folder/b"}).id)


def test_a_folder_is_one_also_where_its_mode_has_a_leading_zero(repository):
    trees = [repository[made(repository, {"a": what}).id] for what in ("folder/a", "folder/b")]
    raw = trees[1].read_raw().replace(b"40000 ", b"040000 ")
    [found] = differences(repository, trees[0], repository[repository.odb.write(TREE, raw)])
    assert (found.file, found.new) == (False, repository[trees[1]["a"].id])


TREE = pygit2.enums.ObjectType.TREE
WHO = pygit2.Signature("E", "e@example.org", 0, 0)
