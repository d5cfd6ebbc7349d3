"""Commits by anybody, written straight into a bare repository, as their pushes would leave them."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pygit2

from api.clients import git_trees
from api.clients.git_trees import Edit
from api.domain.commit_message import COMMITTER, Person, intent_message, person
from api.domain.names import AppRef

EVE = Person("Eve", "eve@example.org")
MALLORY = Person("Mallory", "mallory@example.org")
FORGE = Person("GitHub", "noreply@github.com")


class Repository:
    """A repository without any of the platform's own code between it and the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git2 = pygit2.Repository(str(path))

    def git(self, *arguments: str) -> list[str]:
        """The lines that git prints."""
        done = subprocess.run(
            ["git", "-C", self.path, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    def head(self, branch: str = "main") -> str:
        return str(self.git2.references[f"refs/heads/{branch}"].target)

    def tree(self, commit: str) -> str:
        return str(self.git2[commit].peel(pygit2.Tree).id)

    def move(self, commit: str, branch: str = "main") -> str:
        """Let the branch point somewhere, wherever it was."""
        self.git2.references.create(f"refs/heads/{branch}", pygit2.Oid(hex=commit), force=True)
        return commit

    def commit(  # noqa: PLR0913  (the parts of a commit)
        self,
        parents: Sequence[str],
        edits: Mapping[str, Edit],
        message: str = "By hand\n",
        *,
        author: Person = EVE,
        committer: Person | None = None,
        base: str | None = None,
        at: int = 1_800_000_000,
    ) -> str:
        """A commit with `base`'s files (the first parent's) and these edits; no branch moves."""
        tree = git_trees.store(self.git2, edits, base or (parents[0] if parents else None))
        by = committer or author
        return str(
            self.git2.create_commit(
                None,
                pygit2.Signature(author.name, author.email, at, 0, "utf-8"),
                pygit2.Signature(by.name, by.email, at, 0, "utf-8"),
                message,
                pygit2.Oid(hex=tree),
                [pygit2.Oid(hex=parent) for parent in parents],
            )
        )

    def push(self, edits: Mapping[str, Edit], message: str = "By hand\n", **parts) -> str:
        """A commit on the tip of `main`."""
        return self.move(self.commit([self.head()], edits, message, **parts))

    def platform(self, ref: AppRef, edits: Mapping[str, Edit], action: str = "deploy") -> str:
        """A commit on `main` as the platform makes it."""
        message = intent_message(action, [ref], "App", "r")
        author = person(f"name-{ref.user_id}", ref.user_id)
        return self.push(edits, message, author=author, committer=COMMITTER)
