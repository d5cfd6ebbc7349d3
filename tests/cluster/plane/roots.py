"""Roots of Debian packages, which stand in for the images that ours are made on."""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pip

from tests.cluster.build import LAUNCHER
from tests.cluster.plane import archive
from tests.cluster.plane.components import run
from tests.cluster.plane.slot import PlaneFailed

PATH: Final = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
STEP_SECONDS: Final = 10 * 60
_MIRROR: Final = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
# What the official images have for every program: certificates, time zones, names.
_PACKAGES: Final = ("ca-certificates", "netbase", "tzdata")
_NOT_NEEDED: Final = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale")
_DEBOOTSTRAP_SECONDS: Final = 15 * 60


@dataclass(frozen=True)
class Root:
    """A release of Debian with these packages, and links that its programs are looked for by."""

    suite: str
    packages: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()

    def made(self, folder: Path) -> Path:
        """The unpacked root below `folder`, made there first where it is missing."""
        recipe = repr((self, _PACKAGES, _NOT_NEEDED, archive.architecture()))
        path = folder / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:20]}"
        if not path.exists():
            unfinished = folder / ".base.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            self._make(unfinished)
            unfinished.replace(path)
        os.utime(path)  # it is in use
        return path

    def _make(self, root: Path) -> None:
        named = ", ".join(self.packages)
        print(f"Installing Debian {self.suite} with {named} (a minute) …", flush=True)
        included = ",".join([*self.packages, *_PACKAGES])
        run(
            *(*_apart(), "debootstrap", "--variant=minbase"),
            *(f"--include={included}", self.suite, root, _MIRROR),
            seconds=_DEBOOTSTRAP_SECONDS,
        )
        for name in _NOT_NEEDED:
            shutil.rmtree(root / name)
            (root / name).mkdir()
        for name in ("hostname", "resolv.conf"):
            (root / "etc" / name).unlink(missing_ok=True)  # this machine's
        for link, target in self.links:
            (root / link).symlink_to(target)


def _python(named: re.Match[str]) -> Root:
    python = f"python{named[1]}"
    return Root(named[2], (python,), (("usr/local/bin/python", f"/usr/bin/{python}"),))


def _nginx(_: re.Match[str]) -> Root:
    return Root("bookworm", ("nginx-light",))


_STAND_INS: Final[dict[str, Callable[[re.Match[str]], Root]]] = {
    r"\bpython:(3\.\d+)[\d.]*-slim-(\w+)$": _python,
    r"\bnginx:[\d.]+-alpine-slim$": _nginx,
}


def stand_in(image: str) -> Root:
    """What stands in for an image; raises PlaneFailed where nothing does."""
    for pattern, root in _STAND_INS.items():
        if named := re.search(pattern, image):
            return root(named)
    raise PlaneFailed(f"Nothing stands in for the image {image} here.")


def run_in(root: Path, workdir: str, command: str) -> None:
    """Run a command of a Dockerfile in a root, with this machine's pip, names and proxies."""
    lent = root / "opt/lent"
    (lent / "pip").mkdir(parents=True)
    binds = {Path(pip.__file__).parent: lent / "pip", Path("/etc/ssl"): root / "etc/ssl"}
    made = []
    for name in ("etc/resolv.conf", "etc/hosts", "etc/pip.conf"):
        if Path("/", name).exists():
            if not (root / name).exists():
                made.append(root / name)
            (root / name).touch()
            binds[Path("/", name)] = root / name
    script = f'mount -t proc proc "{root}/proc" && '
    script += "".join(f'mount --bind "{source}" "{at}" && ' for source, at in binds.items())
    script += 'exec chroot "$0" /bin/sh -c "cd $1 && $2"'
    run(
        *_apart(),
        *("/bin/sh", "-c", script, str(root), workdir, command),
        environment={
            "PATH": PATH,
            "PYTHONPATH": "/opt/lent",
            "HOME": "/tmp",  # noqa: S108  (the root's own)
            "DEBIAN_FRONTEND": "noninteractive",
        },
        seconds=STEP_SECONDS,
    )
    shutil.rmtree(lent)
    for path in made:
        path.unlink()


def _apart() -> list[str]:
    """Runs a program in mounts and processes of its own, which are gone with it, and it with us."""
    tied = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())]
    return [*tied, "/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child"]
