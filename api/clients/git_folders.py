"""Reading whole folders that anybody may have pushed: within limits, and telling what is odd."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import pygit2

from api.clients.git_trees import MAX_FILE_BYTES, Entry, below, blob, find, kind_of, name_of, root
from api.domain.repo_layout import ENTRIES
from api.domain.tree_form import is_well_formed

# What is read of one folder at most: far above what an app may have (50 files, 900 KiB), and low
# enough that whatever somebody pushes costs a bounded time and memory.
MAX_DEPTH: Final = 20
MAX_FILES: Final = 2_000
MAX_FOLDER_BYTES: Final = 4 * MAX_FILE_BYTES


@dataclass(frozen=True)
class OpenedFolder:
    """An app's folder at a commit, read in one go."""

    id: str
    children: Mapping[str, Entry]  # all names in it
    files: Mapping[str, bytes]  # regular ones of its entries, by path below the folder
    #: Of them, what nobody reads: links, submodules, executables, what is past a limit; and, with
    #: a slash behind, folders that git did not write ("./" for the app's own).
    odd: Sequence[str]

    def below(self, name: str) -> dict[str, bytes]:
        """The files of a folder in it, by path relative to that."""
        prefix = f"{name}/"
        return {
            path.removeprefix(prefix): data
            for path, data in self.files.items()
            if path.startswith(prefix)
        }


def walk(tree: pygit2.Tree) -> Iterator[tuple[str, pygit2.Object]]:
    """Everything below a tree that is no folder, by path; folders past a limit as they are.

    A folder that git would not write is not opened: its path ends in a slash.
    """
    waiting: list[tuple[str, int, pygit2.Tree]] = [("", 0, tree)]
    opened = 0  # a few small trees can name each other so often that nobody comes to an end
    while waiting:
        prefix, depth, folder = waiting.pop()
        raw = folder.read_raw()
        # 29,000 names are enough for anybody; to look through millions of them takes minutes.
        if len(raw) > MAX_FILE_BYTES or not is_well_formed(raw):
            yield prefix or "/", folder
            continue
        for entry in folder:
            path = prefix + name_of(entry)
            if isinstance(entry, pygit2.Tree) and depth < MAX_DEPTH and opened < MAX_FILES:
                opened += 1
                waiting.append((f"{path}/", depth + 1, entry))
            else:
                yield path, entry


def _sorted_out(
    repository: pygit2.Repository, tree: pygit2.Object | None
) -> tuple[dict[str, pygit2.Oid], list[str]]:
    """Regular files within the limits, and the paths of everything else."""
    regular: dict[str, pygit2.Oid] = {}
    odd: list[str] = []
    if not isinstance(tree, pygit2.Tree):
        return regular, odd
    room = MAX_FOLDER_BYTES
    for path, entry in islice(walk(tree), 10 * MAX_FILES):
        size = MAX_FILE_BYTES + 1
        if kind_of(entry) == "file":
            _, size = repository.odb.read_header(entry.id)
        if path not in regular and size <= min(room, MAX_FILE_BYTES) and len(regular) < MAX_FILES:
            regular[path] = entry.id
            room -= size
        elif len(odd) < MAX_FILES:
            odd.append(path)
    return regular, sorted(odd)


def _regular_files(repository: pygit2.Repository, tree: pygit2.Object | None) -> dict[str, bytes]:
    return _contents(repository, _sorted_out(repository, tree)[0])


def _contents(repository: pygit2.Repository, regular: Mapping[str, pygit2.Oid]) -> dict[str, bytes]:
    return {path: blob(repository, str(object_id)) for path, object_id in sorted(regular.items())}


def files(repository: pygit2.Repository, commit: str, path: str) -> dict[str, bytes]:
    """Every regular file below a folder, by path relative to it; what is odd is not."""
    return _regular_files(repository, find(root(repository, commit), path))


def tree_files(repository: pygit2.Repository, tree_id: str) -> dict[str, bytes]:
    """Every regular file of a tree by its object id."""
    return _regular_files(repository, repository.get(tree_id))


def open_folder(repository: pygit2.Repository, commit: str, path: str) -> OpenedFolder | None:
    """An app's folder with its entries; None when there is no such folder.

    Each entry has room of its own, and what else stands there is not read: it hides nothing.
    """
    tree = find(root(repository, commit), path)
    if not isinstance(tree, pygit2.Tree):
        return None
    regular: dict[str, pygit2.Oid] = {}
    odd: list[str] = []
    if not is_well_formed(tree.read_raw()):
        odd.append("./")
    # Of a name that stands twice the last, as in `below` and as a TreeBuilder takes it.
    entries = {name_of(entry): entry for entry in tree}
    for name in ENTRIES:
        entry = entries.get(name)
        if entry is None:
            continue
        if isinstance(entry, pygit2.Tree):
            files, others = _sorted_out(repository, entry)
            regular |= {f"{name}/{path}": object_id for path, object_id in files.items()}
            odd += [f"{name}/" if path == "/" else f"{name}/{path}" for path in others]
        elif kind_of(entry) == "file" and repository.odb.read_header(entry.id)[1] <= MAX_FILE_BYTES:
            regular[name] = entry.id
        else:
            odd.append(name)
    return OpenedFolder(str(tree.id), below(tree, 1), _contents(repository, regular), sorted(odd))
