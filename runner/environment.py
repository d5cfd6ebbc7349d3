"""What the platform tells a runner, read once from its environment and then taken out of it."""

import os
from collections.abc import MutableMapping
from dataclasses import dataclass

PREFIX = "FASTAPI_PLATFORM_"


class WrongEnvironment(ValueError):
    """A variable that the platform sets has a value that cannot be used."""


@dataclass(frozen=True)
class Environment:
    """The contract with whoever starts this process; each field is `FASTAPI_PLATFORM_<FIELD>`."""

    source: str = "/app"  # folder with the learner's files; only read
    workdir: str = "/tmp/app"  # noqa: S108 - a pod's own volume; holds one version of one app
    entrypoint: str = "user_code.py"  # path below `source`; its `app` is served
    root_path: str = ""  # URL path that the router strips, such as /user/u1/app/a1
    intent: str = ""  # digest of the version; told at /ready and to the router's probe
    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached at its own address
    port: int = 8000  # the app
    probe_port: int = 8001  # /ready and /live
    trusted: str = "127.0.0.1,::1"  # whose forwarded headers count: addresses, networks or `*`
    stop_seconds: int = 8  # from the request to stop to the end of the process, at most
    parent_fd: int | None = None  # a pipe: when it closes, its other end died, and so do we


def take_environment(variables: MutableMapping[str, str] = os.environ) -> Environment:
    """Read the contract and remove it: these variables would only mislead the learner's code.

    Raises WrongEnvironment when a value cannot be used.
    """
    given = {
        name.removeprefix(PREFIX).lower(): variables.pop(name)
        for name in list(variables)
        if name.startswith(PREFIX)
    }
    default = Environment()
    root_path = given.get("root_path", default.root_path).rstrip("/")
    if root_path and not (root_path.startswith("/") and root_path.isascii()):
        raise WrongEnvironment(f"{PREFIX}ROOT_PATH must start with `/`, not {root_path!r}")
    return Environment(
        source=os.path.abspath(given.get("source", default.source)),
        workdir=os.path.realpath(given.get("workdir", default.workdir)),
        entrypoint=given.get("entrypoint", default.entrypoint),
        root_path=root_path,
        intent=given.get("intent", default.intent),
        host=given.get("host", default.host),
        port=_number(given, "port", default.port),
        probe_port=_number(given, "probe_port", default.probe_port),
        trusted=given.get("trusted", default.trusted),
        stop_seconds=max(1, _number(given, "stop_seconds", default.stop_seconds)),
        parent_fd=_number(given, "parent_fd", 0) if "parent_fd" in given else None,
    )


def _number(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise WrongEnvironment(f"{PREFIX}{name.upper()} must be a number, not {text!r}")
    return int(text)
