"""Builds the programs that tests need from their Go modules, each once.

    python -m tests.cluster.build [program …]

A program's place in the cache is named by everything that goes into it: the files of its module,
the flags and Go's own version. What is there is whole, because it was moved in; a build
that was interrupted goes on where it was, from Go's own cache.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOOLS: Final = Path(__file__).with_name("tools")
LAUNCHER: Final = Path(__file__).resolve().parents[2] / "api/local/die_with_parent.py"
_GO: Final = (1, 26)  # what the go.mod files ask for
_FLAGS: Final = ("-trimpath", "-mod=readonly", "-buildvcs=false")
_STRIPPED: Final = "-s -w"
_KUBERNETES: Final = "k8s.io/component-base/version"
_BUILD_SECONDS: Final = 45 * 60  # the longest took 6 minutes on two free cores
_DOWNLOAD_SECONDS: Final = 10 * 60
_REPORT_SECONDS: Final = 20.0  # between two lines where nobody looks on


class CannotBuild(Exception):
    """A program is missing and cannot be made here; the message says why and what to do."""


@dataclass(frozen=True)
class Program:
    """A program, the folder below `tools/` of its module, and its package.

    With `copied`, a dependency of the module, the package is built in a copy of that one, with
    the files of `added` beside its own. With `c`, a C compiler has a part in it.
    """

    name: str
    module: str
    package: str
    copied: str | None = None
    added: tuple[tuple[str, str], ...] = ()
    tags: str = ""
    c: bool = False


#: Those first that others wait for, and that are enough for an API server.
PROGRAMS: Final = (
    Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    Program("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    *(
        Program(f"{name}-controller", f"{name}-controller", f"github.com/fluxcd/{name}-controller")
        for name in ("kustomize", "source", "notification")
    ),
    *(
        Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}")
        for name in ("kubelet", "kube-controller-manager", "kube-scheduler")
    ),
    Program("pause", "pause", "."),  # what every pod's namespaces are held by
    # It starts only with a file that its module on the proxy lacks.
    Program(
        "ferretdb",
        "ferretdb",
        "./cmd/ferretdb",
        copied="github.com/FerretDB/FerretDB",
        added=(("build/version/version.txt", "v1.24.2\n"),),
    ),
)
#: No part of a plane: single tests ask for them by name.
OF_TESTS: Final = (
    Program("actionlint", "actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),
    Program("image-policy", "image-policy", "."),  # Flux's own choice of an image's tag
    *(
        # Without the ways to find targets at two dozen clouds: 3 minutes instead of a quarter of an
        # hour.
        Program(
            name, "prometheus", f"github.com/prometheus/prometheus/cmd/{name}", tags="remove_all_sd"
        )
        for name in ("prometheus", "promtool")
    ),
    Program(  # a forge, for what git's own server has no say in
        "gitea",
        "gitea",
        ".",
        copied="code.gitea.io/gitea",
        tags="sqlite sqlite_unlock_notify",
        c=True,
    ),
)


def cache_folder() -> Path:
    """Where what is built once is kept, outside every clone."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fastapi-platform"


def programs(names: Sequence[str] = ()) -> dict[str, Path]:
    """The paths of these programs (of all of a plane), built first where they are missing.

    Raises CannotBuild.
    """
    wanted = [p for p in (*PROGRAMS, *OF_TESTS) if p.name in names] if names else PROGRAMS
    version = _go_version()
    paths = {program.name: _path(program, version) for program in wanted}
    if all(path.is_file() for path in paths.values()):
        return paths
    with _alone(cache_folder() / "tools"):
        missing = [program for program in wanted if not paths[program.name].is_file()]
        for number, program in enumerate(missing, 1):
            _build(program, paths[program.name], f"{number} of {len(missing)}")
    return paths


def is_built(names: Sequence[str]) -> bool:
    """Whether these programs are there already; raises CannotBuild without a fitting Go."""
    version = _go_version()
    return all(_path(p, version).is_file() for p in PROGRAMS if p.name in names)


def module_folder(module: str, path: str) -> Path:
    """The source of the dependency `path` of a module below `tools/`, downloaded if missing."""
    done = _go("mod", "download", "-json", path, folder=TOOLS / module, seconds=_DOWNLOAD_SECONDS)
    return Path(json.loads(done)["Dir"])


def _path(program: Program, version: str) -> Path:
    digest = hashlib.sha256(version.encode())
    for path in sorted((TOOLS / program.module).iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(repr((_FLAGS, _linked(program), *program.added)).encode())
    digest.update(program.tags.encode())
    return cache_folder() / "tools" / digest.hexdigest()[:20] / program.name


def _linked(program: Program) -> str:
    """The linker's flags: Kubernetes learns its version from them."""
    if program.module != "kubernetes":
        return _STRIPPED
    text = (TOOLS / "kubernetes/go.mod").read_text(encoding="utf-8")
    [version] = re.findall(r"^require k8s\.io/kubernetes (v\S+)", text, re.MULTILINE)
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(
        [_STRIPPED, *(f"-X {_KUBERNETES}.{key}={value}" for key, value in values.items())]
    )


def has_go() -> bool:
    """Whether anything can be built here."""
    return shutil.which("go") is not None


def _go_version() -> str:
    if not has_go():
        raise CannotBuild(
            f"Go is not on the PATH. What tests need is built with Go {_GO[0]}.{_GO[1]} or newer:"
            " install it, or set KUBECONFIG to use a cluster that is there (MONGODB_TEST_URI, a"
            " database)."
        )
    version = _go("env", "GOVERSION", folder=TOOLS, seconds=30).strip()
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    if not numbers or (int(numbers[1]), int(numbers[2])) < _GO:
        raise CannotBuild(f"Go is {version}; {_GO[0]}.{_GO[1]} or newer is needed.")
    return version


def _go(*arguments: str, folder: Path, seconds: float) -> str:
    try:
        done = subprocess.run(
            ["go", *arguments],
            cwd=folder,
            env=_environment(),
            timeout=seconds,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"`go {' '.join(arguments)}` took more than {seconds:.0f} s.") from None
    if done.returncode:
        raise CannotBuild(_explained(f"go {' '.join(arguments)}", done.stderr))
    return done.stdout


def _environment() -> dict[str, str]:
    # GOFLAGS of a person's own could change what is built, and the name in the cache would not.
    return os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def _explained(command: str, errors: str) -> str:
    last = "\n".join(errors.strip().splitlines()[-15:])
    network = re.search(r"dial tcp|no such host|i/o timeout|proxyconnect|TLS handshake", errors)
    hint = (
        "\nThe Go module proxy does not answer (GOPROXY says which): try again when it does;"
        " what has been downloaded is kept."
        if network
        else ""
    )
    return f"`{command}` failed:\n{last}{hint}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two builds at once would only take each other's processors."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another build on this machine …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(program: Program, path: Path, count: str) -> None:
    if path.is_file():
        return  # the build that was waited for made it
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{program.name}.unfinished")
    log = path.with_name(f"{program.name}.log")
    folder = _folder(program, path.with_name(f".{program.name}.source"))
    command = [
        *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())),  # it ends with us
        *(
            shutil.which("nice") or "/usr/bin/nice",
            "-n",
            "19",
            "go",
            "build",
            *_FLAGS,
            f"-tags={program.tags}",
            "-ldflags",
            _linked(program),
        ),
        *("-o", str(unfinished), program.package),
    ]
    started = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment() | {"CGO_ENABLED": str(int(program.c))},
            stdout=output,
            stderr=output,
        )
        try:
            status = _watched(process, f"Building {program.name} ({count})", started)
        finally:
            process.kill()
            process.wait()
    if status:
        raise CannotBuild(_explained(f"go build {program.package}", log.read_text()))
    unfinished.replace(path)
    log.unlink()
    if program.copied:
        shutil.rmtree(folder)
    print(f"Built {program.name} ({count}) in {time.monotonic() - started:.0f} s", flush=True)


def _folder(program: Program, copy: Path) -> Path:
    """Where the program is built."""
    if program.copied is None:
        return TOOLS / program.module
    shutil.rmtree(copy, ignore_errors=True)
    # Without the modes of Go's cache, in which nothing can be written.
    original = module_folder(program.module, program.copied)
    shutil.copytree(original, copy, copy_function=shutil.copyfile)
    for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    for name, content in program.added:
        (copy / name).write_text(content, encoding="utf-8")
    return copy


def _watched(process: "subprocess.Popen[bytes]", what: str, started: float) -> int:
    """Show how long it takes until it ends; its exit status."""
    watched = sys.stdout.isatty()
    pause = 1.0 if watched else _REPORT_SECONDS
    while (elapsed := time.monotonic() - started) < _BUILD_SECONDS:
        line = f"{what}: {elapsed:.0f} s"
        print(f"\r{line} " if watched else line, end="" if watched else "\n", flush=True)
        try:
            return process.wait(pause)
        except subprocess.TimeoutExpired:
            continue
        finally:
            if watched:
                print("\r", end="")
    raise CannotBuild(f"{what} took more than {_BUILD_SECONDS} s.")


def main() -> int:
    """Build what is named, or all; print where each program is."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = [program.name for program in (*PROGRAMS, *OF_TESTS)]
    parser.add_argument("program", nargs="*", help=f"those of a plane, or: {', '.join(known)}")
    wanted = parser.parse_args().program
    if unknown := set(wanted) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    try:
        for name, path in programs(wanted).items():
            print(f"{name} {path}")
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
