"""What a learner's code may import: one table, with the reason for each module.

A whole module is allowed with its submodules, except those that lead out of it. Administrators add
modules under `additionalImports` in `platform.yaml`; the runner must then bring them.
"""

import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["package", "standard library"]


@dataclass(frozen=True)
class AllowedModule:
    """One line of the page of packages; `distribution` names it in the runner's lock."""

    module: str
    kind: Kind
    reason: str
    distribution: str | None = None


_PACKAGES: Final = (
    ("fastapi", "the framework itself", "fastapi"),
    ("starlette", "what FastAPI is built on: responses, middleware, routing", "starlette"),
    ("pydantic", "models and validation", "pydantic"),
    ("pydantic_settings", "reads what is set under Settings", "pydantic-settings"),
    ("typing_extensions", "the newest typing on every Python", "typing-extensions"),
    ("annotated_types", "Gt, Len and their like for Annotated", "annotated-types"),
    ("httpx", "asks other services, with or without await", "httpx"),
    ("uvicorn", 'for `if __name__ == "__main__"` on your own machine', "uvicorn"),
    ("jinja2", "HTML templates", "jinja2"),
    ("jwt", "access tokens", "pyjwt"),
    ("passlib", "password hashing", "libpass"),
    ("sqlmodel", "tables as models, over SQLAlchemy", "sqlmodel"),
    ("motor", "MongoDB with await", "motor"),
    ("pymongo", "MongoDB", "pymongo"),
    ("bson", "MongoDB's ObjectId and documents", "pymongo"),
    ("beanie", "documents of MongoDB as Pydantic models, with await", "beanie"),
    ("email_validator", "checks e-mail addresses, also for EmailStr", "email-validator"),
    ("multipart", "reads forms and uploads for FastAPI", "python-multipart"),
)
_STANDARD_LIBRARY: Final = {
    "__future__": "newer syntax on older Pythons",
    "abc": "abstract base classes",
    "array": "compact arrays of numbers",
    "asyncio": "concurrency with await, once the server runs",
    "base64": "binary data as text",
    "binascii": "hexadecimal and checksums",
    "bisect": "search in sorted lists",
    "calendar": "months and weekdays",
    "cmath": "complex numbers",
    "collections": "Counter, defaultdict, deque and the abstract containers",
    "colorsys": "colour systems",
    "concurrent.futures": "a pool of threads for blocking work",
    "contextlib": "context managers, the lifespan of an app",
    "contextvars": "values that follow a request",
    "copy": "copies of objects",
    "csv": "comma-separated values",
    "dataclasses": "classes that hold data",
    "datetime": "dates and times",
    "decimal": "exact decimal numbers",
    "difflib": "differences between texts",
    "enum": "fixed choices",
    "fractions": "rational numbers",
    "functools": "lru_cache, partial, wraps",
    "graphlib": "order of things that depend on each other",
    "hashlib": "digests",
    "heapq": "priority queues",
    "hmac": "signed messages",
    "html": "escapes HTML",
    "http": "status codes, methods, cookies",
    "io": "StringIO and BytesIO: files in memory",
    "ipaddress": "addresses and networks",
    "itertools": "iterators",
    "json": "JSON",
    "keyword": "Python's keywords",
    "locale": "formats of languages and countries",
    "logging": "log lines, shown in the live log",
    "math": "mathematics",
    "mimetypes": "media types from names",
    "numbers": "abstract numbers",
    "operator": "operators as functions",
    "pprint": "readable output",
    "queue": "queues between threads",
    "random": "random numbers, not for secrets",
    "re": "regular expressions",
    "reprlib": "short representations",
    "secrets": "random numbers for secrets",
    "sqlite3": "a database in a file",
    "statistics": "mean, median, deviation",
    "string": "letters, digits, templates",
    "struct": "packed binary data",
    "textwrap": "wraps and dedents text",
    "threading": "threads and locks",
    "time": "clocks and pauses",
    "tomllib": "reads TOML",
    "traceback": "formats exceptions",
    "types": "SimpleNamespace, MappingProxyType and the names of types",
    "typing": "type annotations",
    "unicodedata": "properties of characters",
    "urllib.parse": "takes URLs apart and puts them together",
    "uuid": "unique ids",
    "warnings": "warnings",
    "weakref": "references that do not keep alive",
    "zlib": "compression in memory",
    "zoneinfo": "time zones",
}
ALLOWED: Final[Mapping[str, AllowedModule]] = {
    entry.module: entry
    for entry in (
        *(AllowedModule(name, "package", reason, dist) for name, reason, dist in _PACKAGES),
        *(
            AllowedModule(name, "standard library", reason)
            for name, reason in _STANDARD_LIBRARY.items()
        ),
    )
}

#: Submodules of allowed modules that reach files, processes, servers or the import system.
LEADS_OUT: Final = frozenset(
    [
        "asyncio.base_subprocess",
        "asyncio.subprocess",
        "asyncio.unix_events",
        "asyncio.windows_events",
        "asyncio.windows_utils",
        "beanie.executors",
        "beanie.migrations",
        "concurrent.futures.process",
        "fastapi.cli",
        "http.server",
        "jinja2.bccache",
        "jinja2.compiler",
        "json.tool",
        "logging.config",
        "passlib.apache",
        "pydantic.mypy",
        "pydantic.v1.mypy",
        "uvicorn.importer",
        "uvicorn.supervisors",
        "uvicorn.workers",
    ]
)

#: What to use instead of a module that learners often reach for.
INSTEAD: Final[Mapping[str, str]] = {
    "os": "To read a setting, add it under Settings and use `pydantic_settings`.",
    "dotenv": "Settings are given under Settings; read them with `pydantic_settings`.",
    "sys": "To print, use `print` or `logging`; both are shown in the live log.",
    "pathlib": "Files beside your code are served from `static/`; keep data in `sqlite3`.",
    "tempfile": "Use `io.BytesIO` or `io.StringIO` for files in memory.",
    "shutil": "Files beside your code are served from `static/`; keep data in `sqlite3`.",
    "glob": "Files beside your code are served from `static/`.",
    "pickle": "Use `json` or a Pydantic model's `model_dump_json()`.",
    "shelve": "Keep data in `sqlite3` or `sqlmodel`.",
    "subprocess": "An app cannot start programs; use FastAPI's `BackgroundTasks` for work.",
    "multiprocessing": "Use `concurrent.futures.ThreadPoolExecutor` or `BackgroundTasks`.",
    "importlib": "Write an `import` statement.",
    "builtins": "The built-in functions are there without an import.",
    "inspect": "`typing.get_type_hints` and a model's `model_fields` cover most needs.",
    "socket": "Use `httpx` to ask other services and `WebSocket` to talk to a browser.",
    "requests": "Use `httpx`: `httpx.get(url)` has the same shape.",
    "aiohttp": "Use `httpx.AsyncClient`.",
    "urllib": "Only `urllib.parse` is; use `httpx` to ask other services.",
    "flask": "Use `fastapi`.",
    "django": "Use `fastapi`.",
    "numpy": "`statistics`, `math` and `array` cover small needs.",
    "pandas": "`csv`, `statistics` and `sqlite3` cover small needs.",
    "sqlalchemy": "`sqlmodel` has what most tables need: `from sqlmodel import Column, select`.",
    "jose": "Use `jwt`: `jwt.encode(...)` and `jwt.decode(...)`.",
    "python_multipart": "Install nothing: `Form` and `File` of `fastapi` read forms and uploads.",
    "bcrypt": "Use `passlib`: `passlib.context.CryptContext`.",
    "signal": "Use a `lifespan` function for what happens at start and end.",
    "gunicorn": "The platform starts the server; your file only defines `app`.",
}

#: Every module that comes with Python.
PYTHON: Final = frozenset(sys.stdlib_module_names)
#: Names at the top of the runner's import path that a learner's file must not hide.
_RUNNER_MODULES: Final = frozenset(
    [
        "annotated_doc",
        "anyio",
        "argon2",
        "bcrypt",
        "certifi",
        "cffi",
        "click",
        "dns",
        "dotenv",
        "gridfs",
        "h11",
        "httpcore",
        "httptools",
        "idna",
        "lazy_model",
        "libpass",
        "markupsafe",
        "opentelemetry",
        "pydantic_core",
        "pycparser",
        "python_multipart",
        "sqlalchemy",
        "typing_inspection",
        "uvloop",
        "websockets",
        "yaml",
    ]
)
_TOP: Final = frozenset(module.partition(".")[0] for module in ALLOWED)
# `test` is Python's own test suite, which no app needs; `test.py` is what learners call theirs.
_NOBODY_NEEDS: Final = frozenset({"test", "this", "antigravity"})
_LOCKED: Final = re.compile(
    r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE
)


def is_allowed(module: str, additional: Collection[str] = ()) -> bool:
    """Whether `module` (dotted) may be imported: listed, or below a listed one, not leading out."""
    parts = module.split(".")
    parents = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    if any(parent in additional for parent in parents):
        return True
    if any(parent in LEADS_OUT for parent in parents):
        return False
    private = any(part.startswith("_") for part in parts[1:])
    return not private and any(parent in ALLOWED for parent in parents)


def holds_allowed(module: str, additional: Collection[str] = ()) -> bool:
    """Whether `module` itself is not listed but is the package of one that is (`urllib`)."""
    start = module + "."
    return any(name.startswith(start) for name in ALLOWED) or any(
        name.startswith(start) for name in additional
    )


def is_known_module(name: str, additional: Collection[str] = ()) -> bool:
    """Whether a learner's top-level file of this name would hide a module."""
    return (
        name in PYTHON
        or name in _RUNNER_MODULES
        or name in _TOP
        or any(name == module.partition(".")[0] for module in additional)
    ) and name not in _NOBODY_NEEDS


def locked_versions(lock: str) -> dict[str, str]:
    """Read `{distribution: version}` from the text of a requirements file with pins."""
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _LOCKED.findall(lock)
    }


def module_versions(lock: str) -> dict[str, str | None]:
    """Map every allowed module to its version in the runner's lock; None: Python's own."""
    locked = locked_versions(lock)
    return {
        entry.module: locked.get(entry.distribution) if entry.distribution else None
        for entry in ALLOWED.values()
    }
