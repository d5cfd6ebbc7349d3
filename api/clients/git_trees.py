"""Reading and editing trees, through libgit2: no work tree, no index.

Only the trees along the changed paths are written, so an edit costs by the depth of the tree and
not by the size of the repository (`Index` would be O(repository)).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

import pygit2
from pygit2.enums import FileMode, ObjectType

from api.errors import RepositoryUnavailable

Kind = Literal["file", "folder", "other"]


#: Of a file that is read at all.
MAX_FILE_BYTES: Final = 1024 * 1024
#: Of a file read by its path; what the platform keeps of a shard is larger than people's files.
MAX_READ_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """A name in a folder; `other` is a link, a submodule or an executable file."""

    id: str
    kind: Kind
    children: Mapping[str, "Entry"] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Same:
    """Take an object that is in the repository already."""

    id: str
    kind: Literal["file", "folder"]


@dataclass(frozen=True)
class Folder:
    """A whole folder: whatever stood there before is gone."""

    content: Mapping[str, "bytes | Same | Folder"]


#: What to put at a path; None takes away what is there.
Edit = bytes | Same | Folder | None


def root(repository: pygit2.Repository, commit: str) -> pygit2.Tree:
    """The tree of a commit; raises RepositoryUnavailable for anything else."""
    found = repository.get(commit)
    if not isinstance(found, pygit2.Commit):
        raise RepositoryUnavailable(f"{commit} is not a commit of the repository")
    return found.tree


def name_of(entry: pygit2.Object) -> str:
    """A name as text; it may be any bytes, so what is not UTF-8 is escaped, and never plain."""
    return shown_path(entry.raw_name or b"").replace("/", "\\x2f")  # nor does it lead elsewhere


def kind_of(entry: pygit2.Object) -> Kind:
    """What an entry of a folder is, by its mode."""
    if entry.filemode == FileMode.TREE:
        return "folder"
    return "file" if entry.filemode in (FileMode.BLOB, FileMode.BLOB | 0o20) else "other"


def find(tree: pygit2.Tree, path: str) -> pygit2.Object | None:
    """What stands at a path below a tree."""
    found: pygit2.Object = tree
    for name in filter(None, path.split("/")):
        if not isinstance(found, pygit2.Tree) or name not in found:
            return None
        found = found[name]
    return found


def outline(repository: pygit2.Repository, commit: str, path: str, depth: int) -> dict[str, Entry]:
    """Names below a folder, `depth` levels deep; empty when there is no such folder."""
    return outline_of(repository, str(root(repository, commit).id), path, depth)


def outline_of(
    repository: pygit2.Repository, tree_id: str, path: str, depth: int
) -> dict[str, Entry]:
    """The same for a tree by its object id."""
    tree = repository[tree_id]
    found = find(tree, path) if isinstance(tree, pygit2.Tree) else None
    return below(found, depth)


def below(tree: pygit2.Object | None, depth: int) -> dict[str, Entry]:
    """Names below a tree, `depth` levels deep; empty for anything else."""
    if depth == 0 or not isinstance(tree, pygit2.Tree):
        return {}
    return {
        name_of(entry): Entry(str(entry.id), kind_of(entry), below(entry, depth - 1))
        for entry in tree
    }


def entry(repository: pygit2.Repository, commit: str, path: str) -> Entry | None:
    """What stands at a path."""
    found = find(root(repository, commit), path)
    return None if found is None else Entry(str(found.id), kind_of(found))


def read(repository: pygit2.Repository, commit: str, path: str) -> bytes | None:
    """A file's bytes; None when there is no such file, or one past MAX_READ_BYTES."""
    found = find(root(repository, commit), path)
    if not isinstance(found, pygit2.Blob):
        return None
    # The header first: gigabytes of zeros pack into a small push.
    _, size = repository.odb.read_header(found.id)
    return found.data if size <= MAX_READ_BYTES else None


def blob(repository: pygit2.Repository, blob_id: str) -> bytes:
    """The bytes of a file by its object id; raises RepositoryUnavailable when it is not here."""
    found = repository.get(blob_id)
    if not isinstance(found, pygit2.Blob):
        raise RepositoryUnavailable(f"{blob_id} is not a file of the repository")
    return found.data


def blobs(repository: pygit2.Repository, blob_ids: Collection[str]) -> dict[str, bytes]:
    """The bytes of several files by their object ids."""
    return {blob_id: blob(repository, blob_id) for blob_id in blob_ids}


def file(repository: pygit2.Repository, object_id: str) -> bytes | None:
    """The bytes of a file of a bearable size by its object id; None for anything else."""
    found = repository.get(object_id)
    return found.data[:MAX_FILE_BYTES] if isinstance(found, pygit2.Blob) else None


def shown_path(raw: bytes) -> str:
    """A path as people and JSON can take it: what is not UTF-8 is escaped."""
    return raw.decode("utf-8", "backslashreplace")


def store_below(
    repository: pygit2.Repository, edits: Mapping[str, Edit], base: str, path: str
) -> str | None:
    """Write what a folder of `base` becomes by these edits; its id, or None for nothing.

    Edits of other folders are left out; one of a folder around it is a ValueError.
    """
    if any(f"{path}/".startswith(f"{edited}/") for edited in edits):
        raise ValueError(f"an edit takes {path} away as a whole")
    found = find(root(repository, base), path)
    prefix = f"{path}/"
    inner = {p.removeprefix(prefix): edit for p, edit in edits.items() if p.startswith(prefix)}
    stored = _edited(repository, found if isinstance(found, pygit2.Tree) else None, _trie(inner))
    return str(stored) if stored is not None else None


def store(repository: pygit2.Repository, edits: Mapping[str, Edit], base: str | None) -> str:
    """Write a tree, `base`'s with the edits or only these, without committing; its id."""
    tree = root(repository, base) if base else None
    stored = _edited(repository, tree, _trie(edits))
    return str(stored if stored is not None else repository.TreeBuilder().write())


_Trie = dict[str, "Edit | _Trie"]
_Item = tuple[pygit2.Oid, int]  # an object and its mode
#: Entries from which a tree is worth the trouble of `_with_folders`.
_LARGE: Final = 500


def _trie(edits: Mapping[str, Edit]) -> _Trie:
    """The edits of a batch, merged: every folder on the way is then written once."""
    root: _Trie = {}
    for path, edit in sorted(edits.items()):
        *folders, name = path.split("/")
        node = root
        for folder in folders:
            below = node.setdefault(folder, {})
            if not isinstance(below, dict):
                raise ValueError(f"{path} is inside of another edit")  # noqa: TRY004  (a value, not a type)
            node = below
        node[name] = edit
    return root


def _edited(
    repository: pygit2.Repository, tree: pygit2.Tree | None, changes: Mapping[str, Edit | _Trie]
) -> pygit2.Oid | None:
    """The id of the tree with the changes; None when nothing is left in it."""
    items = {name: _object(repository, tree, name, edit) for name, edit in changes.items()}
    if tree is not None and len(tree) > _LARGE and (raw := _with_folders(tree, items)):
        return repository.odb.write(ObjectType.TREE, raw)
    builder = repository.TreeBuilder(tree) if tree is not None else repository.TreeBuilder()
    for name, item in items.items():
        if item is not None:
            builder.insert(name, *item)
        elif builder.get(name) is not None:
            builder.remove(name)
    return builder.write() if len(builder) else None


def raw_bytes(tree: pygit2.Tree) -> bytes:
    """A tree as git writes it; large ones are kept a while, for each is asked for three times."""
    return _kept_bytes(tree) if len(tree) > _LARGE else tree.read_raw()


@lru_cache(8)  # libgit2 tells trees apart by their ids
def _kept_bytes(tree: pygit2.Tree) -> bytes:
    return tree.read_raw()


def _with_folders(tree: pygit2.Tree, items: Mapping[str, _Item | None]) -> bytes | None:
    """A tree's own bytes with other folders in place of some that it has; None for more than that.

    Four times as fast as a TreeBuilder for `apps/` with 4,096 shards, which is one edit of every
    deploy. The place of an entry is found by name and old id; a longer name may end alike.
    """
    raw = raw_bytes(tree)
    for name, item in items.items():
        if item is None or item[1] != FileMode.TREE or name not in tree:
            return None
        old = tree[name]
        if not isinstance(old, pygit2.Tree):
            return None
        entry = b"40000 %s\0" % name.encode()
        if raw.count(entry + old.id.raw) != 1:
            return None
        raw = raw.replace(entry + old.id.raw, entry + item[0].raw)
    return raw


def _object(
    repository: pygit2.Repository, tree: pygit2.Tree | None, name: str, edit: Edit | _Trie
) -> _Item | None:
    if isinstance(edit, bytes):
        return repository.create_blob(edit), FileMode.BLOB
    if isinstance(edit, Same):
        return pygit2.Oid(hex=edit.id), FileMode.TREE if edit.kind == "folder" else FileMode.BLOB
    if isinstance(edit, Folder):
        written = _edited(repository, None, edit.content)
    elif edit is None:
        written = None
    else:
        below = tree[name] if tree is not None and name in tree else None
        written = _edited(repository, below if isinstance(below, pygit2.Tree) else None, edit)
        if written is None and below is not None and not isinstance(below, pygit2.Tree):
            return below.id, below.filemode  # nothing was below a file, so nothing is taken away
    return None if written is None else (written, FileMode.TREE)
