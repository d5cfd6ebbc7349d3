"""The two images that the plane's node has: the runner's and the one that holds pods open.

Nothing is pulled: the runner's Dockerfile is followed step by step on a root of Debian packages,
which stand in for the official Python image. What is built is kept outside the clone.
"""

import fcntl
import fnmatch
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pip

from tests.cluster.build import LAUNCHER, cache_folder, programs
from tests.cluster.plane import archive, dockerfile
from tests.cluster.plane.components import run
from tests.cluster.plane.node import PAUSE
from tests.cluster.plane.slot import PlaneFailed

RUNNER: Final = "localhost/fastapi-platform-runner:test"
SOURCE: Final = Path(__file__).resolve().parents[3] / "runner"
_PATH: Final = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_IMAGE: Final = re.compile(r"\bpython:(3\.\d+)[\d.]*-slim-(\w+)$")
_MIRROR: Final = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
# Beside Python, what the official image has for every program: certificates, time zones, names.
_PACKAGES: Final = ("ca-certificates", "netbase", "tzdata")
_NOT_NEEDED: Final = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale")
_DEBOOTSTRAP_SECONDS: Final = 15 * 60
_STEP_SECONDS: Final = 10 * 60
_KEPT_DAYS: Final = 2


def pause_image() -> Path:
    """The archive of the image that holds a pod's namespaces."""
    program = programs(["pause"])["pause"]
    path = program.with_name("pause.image.tar")
    if not path.exists():
        layer = program.with_name("pause.layer.tar")
        archive.one_file(layer, "pause", program)
        archive.write(path, PAUSE, [layer], {"Entrypoint": ["/pause"], "User": "65535:65535"})
    return path


def runner_image() -> Path:
    """The archive of the image that `runner/Dockerfile` describes, built where it is missing."""
    folder = cache_folder() / "images"
    path = folder / f"runner-{_digest()}.tar"
    if not path.exists():
        with _alone(folder):
            if not path.exists():
                _Build(folder, dockerfile.stages(SOURCE / "Dockerfile")).write(path)
                _forget_old(folder)
    os.utime(path)  # it is in use
    return path


def copied() -> list[Path]:
    """The files of `runner/` that go into the image, as its .dockerignore says."""
    rules = (SOURCE / ".dockerignore").read_text(encoding="utf-8").split()
    if rules[0] != "*" or not all(rule.startswith("!") for rule in rules[1:]):
        raise PlaneFailed("runner/.dockerignore is not a list of what may be copied.")
    return sorted(path for rule in rules[1:] for path in SOURCE.glob(rule[1:]))


def _digest() -> str:
    digest = hashlib.sha256(archive.architecture().encode())
    parts = [Path(__file__), Path(archive.__file__), Path(dockerfile.__file__)]
    for path in [*parts, SOURCE / "Dockerfile", SOURCE / ".dockerignore", *copied()]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


@dataclass(frozen=True)
class _Build:
    """Follows the runner's Dockerfile: one stage that builds, one that copies from it."""

    folder: Path
    stages: list[dockerfile.Stage]

    def write(self, path: Path) -> None:
        if len(self.stages) != 2 or len({stage.base for stage in self.stages}) != 1:
            raise PlaneFailed("runner/Dockerfile has not two stages on one base any more.")
        built, final = self.stages
        base = self._base(built.base)
        print("Building the runner's image …", flush=True)
        shutil.rmtree(base / "root/opt", ignore_errors=True)
        self._follow(base / "root", built)
        layer = self.folder / "runner.layer.tar"
        _pack(layer, base / "root", *self._taken(built, final))
        config = {
            "Env": [f"PATH={_PATH}", *(f"{k}={v}" for k, v in final.environment().items())],
            "User": final.last("USER"),
            "WorkingDir": final.last("WORKDIR"),
            "ExposedPorts": {f"{port}/tcp": {} for port in final.words("EXPOSE")},
            "Entrypoint": final.entrypoint(),
        }
        archive.write(path, RUNNER, [base / "layer.tar", layer], config)
        layer.unlink()

    def _base(self, image: str) -> Path:
        """A root with the Python of that image, kept unpacked and as a layer."""
        named = _IMAGE.search(image)
        if not named:
            raise PlaneFailed(f"{image} is no official slim Python image on Debian.")
        python, suite = f"python{named[1]}", named[2]
        recipe = repr((suite, python, _PACKAGES, _NOT_NEEDED, archive.architecture()))
        base = self.folder / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:20]}"
        if base.exists():
            os.utime(base)
            return base
        unfinished = self.folder / ".base.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        root = unfinished / "root"
        unfinished.mkdir()
        print(
            f"Installing Debian {suite} with {python} for the runner's image (a minute) …",
            flush=True,
        )
        run(
            *(*_apart(), "debootstrap", "--variant=minbase"),
            *(f"--include={','.join([python, *_PACKAGES])}", suite, root, _MIRROR),
            seconds=_DEBOOTSTRAP_SECONDS,
        )
        for name in _NOT_NEEDED:
            shutil.rmtree(root / name)
            (root / name).mkdir()
        for name in ("hostname", "resolv.conf"):
            (root / "etc" / name).unlink(missing_ok=True)  # this machine's
        (root / "usr/local/bin/python").symlink_to(f"/usr/bin/{python}")
        _pack(unfinished / "layer.tar", root, ".")
        unfinished.replace(base)
        return base

    def _follow(self, root: Path, stage: dockerfile.Stage) -> None:
        workdir = "/"
        for step in stage.instructions:
            if step.keyword == "WORKDIR":
                workdir = step.argument
                (root / workdir[1:]).mkdir(parents=True)
            elif step.keyword == "COPY":
                *patterns, target = step.argument.split()
                if target != "./":
                    raise PlaneFailed(f"`COPY {step.argument}` is not understood here.")
                for path in copied():
                    if any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns):
                        shutil.copyfile(path, root / workdir[1:] / path.name)
            elif step.keyword == "RUN":
                _in_root(root, workdir, step.argument)
            else:
                raise PlaneFailed(f"{step.keyword} in a build stage is not understood here.")

    def _taken(self, built: dockerfile.Stage, final: dockerfile.Stage) -> list[str]:
        """The folders that the last stage takes from the first."""
        taken = []
        for step in final.instructions:
            if step.keyword == "COPY":
                source, place, target = step.argument.split()
                if source != f"--from={built.name}" or place != target:
                    raise PlaneFailed(f"`COPY {step.argument}` is not understood here.")
                taken.append(f".{target}")
        return taken


def _apart() -> list[str]:
    """Runs a program in mounts and processes of its own, which are gone with it, and it with us."""
    tied = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())]
    return [*tied, "/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child"]


def _in_root(root: Path, workdir: str, command: str) -> None:
    """Run a command of the Dockerfile in the root, with this machine's pip, names and proxies."""
    lent = root / "opt/lent/pip"
    lent.mkdir(parents=True, exist_ok=True)
    binds = {Path(pip.__file__).parent: lent, Path("/etc/ssl"): root / "etc/ssl"}
    for name in ("etc/resolv.conf", "etc/hosts", "etc/pip.conf"):
        if Path("/", name).exists():
            (root / name).touch()
            binds[Path("/", name)] = root / name
    script = "".join(f'mount --bind "{source}" "{target}" && ' for source, target in binds.items())
    script += 'exec chroot "$0" /bin/sh -c "cd $1 && $2"'
    run(
        *_apart(),
        *("/bin/sh", "-c", script, str(root), workdir, command),
        environment={"PATH": _PATH, "PYTHONPATH": "/opt/lent", "HOME": "/tmp"},  # noqa: S108
        seconds=_STEP_SECONDS,
    )


def _pack(path: Path, root: Path, *names: str) -> None:
    run(
        *("tar", "--create", "--numeric-owner", "--sort=name", "--one-file-system"),
        *("--exclude=./proc/*", "--exclude=./sys/*", f"--file={path}", f"--directory={root}"),
        *names,
        seconds=_STEP_SECONDS,
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old(folder: Path) -> None:
    """What no plane has used for two days: 200 MB for each change of the runner."""
    for path in [*folder.glob("base-*"), *folder.glob("runner-*")]:
        if time.time() - path.stat().st_mtime > _KEPT_DAYS * 86_400:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
