"""The images that the plane's node has: the runner's, the one that holds pods open, the platform's.

Nothing is pulled: each Dockerfile is followed step by step on roots of Debian packages, which
stand in for the official images. What is built is kept outside the clone.
"""

import fcntl
import fnmatch
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.build import cache_folder, programs
from tests.cluster.plane import archive, dockerfile, roots
from tests.cluster.plane.components import run
from tests.cluster.plane.node import PAUSE
from tests.cluster.plane.slot import PlaneFailed

_ROOT: Final = Path(__file__).resolve().parents[3]
_KEPT_DAYS: Final = 2
_NODE: Final = re.compile(r"\bnode:[\d.]+-")
#: What a stage on Node does is done on this machine already, by `make setup`.
_DONE_BY_MAKE: Final = ("npm ci", "npm run build")


@dataclass(frozen=True)
class Image:
    """One of the product's images: its name here, the build's folder, and its Dockerfile."""

    name: str
    folder: Path
    dockerfile: Path

    def context(self) -> dict[str, Path]:
        """The files of the folder that a build sees, by path, as the .dockerignore says.

        Raises PlaneFailed where that is not a list of what may be copied.
        """
        first, *rules = self._ignored().read_text(encoding="utf-8").split()
        left_out = {rule[3:] for rule in rules if rule.startswith("**/")}
        allowed = [rule[1:] for rule in rules if rule.startswith("!")]
        if first != "*" or len(left_out) + len(allowed) != len(rules):
            raise PlaneFailed(f"{self._ignored()} is not a list of what may be copied.")
        tops = [path for rule in allowed for path in self.folder.glob(rule)]
        files = [file for top in tops for file in (top.rglob("*") if top.is_dir() else [top])]
        return {
            path.relative_to(self.folder).as_posix(): path
            for path in sorted(files)
            if path.is_file() and not left_out & set(path.relative_to(self.folder).parts)
        }

    def digest(self) -> str:
        """Of everything that goes into it."""
        digest = hashlib.sha256(archive.architecture().encode() + self.name.encode())
        modules = [Path(module.__file__ or "") for module in (archive, dockerfile, roots)]
        built = sorted(path for path in (self.folder / "dist").rglob("*") if path.is_file())
        for path in [Path(__file__), *modules, self.dockerfile, self._ignored(), *built]:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        for name, path in self.context().items():
            digest.update(name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:20]

    def _ignored(self) -> Path:
        own = self.dockerfile.with_name(f"{self.dockerfile.name}.dockerignore")
        return own if own.exists() else self.folder / ".dockerignore"


RUNNER: Final = Image(
    "localhost/fastapi-platform-runner:test", _ROOT / "runner", _ROOT / "runner/Dockerfile"
)
BACKEND: Final = Image("localhost/fastapi-platform-backend:test", _ROOT, _ROOT / "api/Dockerfile")
FRONTEND: Final = Image(
    "localhost/fastapi-platform-frontend:test", _ROOT / "frontend", _ROOT / "frontend/Dockerfile"
)


def pause_image() -> Path:
    """The archive of the image that holds a pod's namespaces."""
    program = programs(["pause"])["pause"]
    path = program.with_name("pause.image.tar")
    if not path.exists():
        layer = program.with_name("pause.layer.tar")
        archive.one_file(layer, "pause", program)
        archive.write(path, PAUSE, [layer], {"Entrypoint": ["/pause"], "User": "65535:65535"})
    return path


def packed(image: Image) -> Path:
    """The archive of the image that its Dockerfile describes, built where it is missing."""
    folder = cache_folder() / "images"
    kind = image.name.rpartition("-")[2].partition(":")[0]
    path = folder / f"{kind}-{image.digest()}.tar"
    if not path.exists():
        with _alone(folder):
            if not path.exists():
                print(f"Building {image.name} …", flush=True)
                _Build(folder, image).write(path)
                _forget_old(folder)
    os.utime(path)  # it is in use
    return path


@dataclass(frozen=True)
class _Build:
    """Follows one Dockerfile, each stage in a root of its own."""

    folder: Path
    image: Image

    def write(self, path: Path) -> None:
        work = self.folder / ".build.unfinished"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        stages = dockerfile.stages(self.image.dockerfile)
        made: dict[str, Path] = {}
        for number, stage in enumerate(stages):
            made[stage.name] = self._follow(stage, work / str(number), made)
        final = stages[-1]
        layer = work / "layer.tar"
        run(
            *("tar", "--create", "--numeric-owner", "--sort=name", "--one-file-system"),
            *("--exclude=./proc/*", "--exclude=./sys/*", f"--file={layer}"),
            *(f"--directory={made[final.name]}", "."),
            seconds=roots.STEP_SECONDS,
        )
        environment = {"PATH": roots.PATH} | final.environment()
        config = {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "User": final.last("USER"),
            "WorkingDir": final.last("WORKDIR", "/"),
            "ExposedPorts": {f"{port}/tcp": {} for port in final.words("EXPOSE")},
            "Entrypoint": final.command("ENTRYPOINT"),
            "Cmd": final.command("CMD"),
        }
        archive.write(path, self.image.name, [layer], config)
        shutil.rmtree(work)

    def _follow(self, stage: dockerfile.Stage, root: Path, made: Mapping[str, Path]) -> Path:
        """The root as it is after a stage."""
        if _NODE.search(stage.base):
            return self._made_already(stage, root)
        base = roots.stand_in(stage.base).made(self.folder)
        run("cp", "--archive", base, root, seconds=roots.STEP_SECONDS)
        workdir = "/"
        for step in stage.instructions:
            if step.keyword == "WORKDIR":
                workdir = step.argument
                (root / workdir[1:]).mkdir(parents=True, exist_ok=True)
            elif step.keyword == "COPY" and step.argument.startswith("--from="):
                _take(step.argument, root, made)
            elif step.keyword == "COPY":
                self._copy(step.argument, root, workdir)
            elif step.keyword == "RUN":
                roots.run_in(root, workdir, step.argument)
        return root

    def _made_already(self, stage: dockerfile.Stage, root: Path) -> Path:
        """A root whose working folder is the image's own on this machine."""
        commands = [step.argument for step in stage.instructions if step.keyword == "RUN"]
        others = [line for line in commands if not line.startswith(_DONE_BY_MAKE)]
        if others or not (self.image.folder / "dist").is_dir():
            raise PlaneFailed(f"{others or 'frontend/dist'}: `make setup` has not done it here.")
        workdir = root / stage.last("WORKDIR")[1:]
        workdir.parent.mkdir(parents=True)
        workdir.symlink_to(self.image.folder)
        return root

    def _copy(self, argument: str, root: Path, workdir: str) -> None:
        *sources, target = argument.split()
        at = root / os.path.join(workdir, target)[1:]  # noqa: PTH118  (of another root)
        for source in sources:
            found = {
                name: path
                for name, path in self.image.context().items()
                if fnmatch.fnmatch(name, source) or name.startswith(f"{source}/")
            }
            if not found:
                raise PlaneFailed(f"`COPY {argument}`: there is no {source}.")
            for name, path in found.items():
                below = name.removeprefix(f"{source}/") if name != source else Path(name).name
                whole = name == source and not target.endswith("/")
                to = at if whole else at / below
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to)


def _take(argument: str, root: Path, made: Mapping[str, Path]) -> None:
    """`--from=<stage> <folder> <folder>`."""
    option, source, target = argument.split()
    to = root / target[1:]
    to.parent.mkdir(parents=True, exist_ok=True)
    stage = made[option.removeprefix("--from=")]
    shutil.copytree(stage / source[1:], to, symlinks=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old(folder: Path) -> None:
    """What no plane has used for two days: 200 MB for each change of the runner."""
    for path in [*folder.glob("base-*"), *folder.glob("*.tar")]:
        if time.time() - path.stat().st_mtime > _KEPT_DAYS * 86_400:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
