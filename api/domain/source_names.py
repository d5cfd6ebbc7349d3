"""Names that lead out of an app: to files, processes, the interpreter or the import system.

Built-in functions count when they are meant as such (a method, a field or a function of the
learner's own may have any name); attributes count wherever they stand.
"""

from collections.abc import Mapping
from typing import Final

_RUNS_CODE: Final = "Call the function or read the value you mean directly."
_NO_FILES: Final = (
    "Files beside your code are served from `static/`; keep data in `sqlite3` or `sqlmodel`, and "
    "take uploads with `UploadFile`."
)
_NO_TERMINAL: Final = "A web app has no terminal: take the value as a parameter of a route."
_NO_EXIT: Final = "The platform starts and stops the app; raise `HTTPException` to end a request."
_NO_NAMESPACE: Final = "Keep the values in a dictionary or an object of your own."

#: Built-in functions that are refused, with what to do instead.
BUILTINS: Final[Mapping[str, str]] = {
    "exec": _RUNS_CODE,
    "eval": "Use `json.loads` for data, or Pydantic's `TypeAdapter` for typed data.",
    "compile": "For a pattern, write `re.compile(...)`.",
    "__import__": "Write an `import` statement.",
    "open": _NO_FILES,
    "input": _NO_TERMINAL,
    "breakpoint": "Use `print` or `logging`; both are shown in the live log.",
    "exit": _NO_EXIT,
    "quit": _NO_EXIT,
    "help": "Read the documentation of the package; `/docs` of your app shows your own routes.",
    "globals": _NO_NAMESPACE,
    "locals": _NO_NAMESPACE,
    "vars": "For a model, use `model.model_dump()`; for a dataclass, `dataclasses.asdict`.",
    "__loader__": "Write an `import` statement.",
    "__spec__": "Write an `import` statement.",
    "__builtins__": "The built-in functions are there by their own names.",
    "__build_class__": "Write a `class` statement.",
}
#: Attributes that lead to the interpreter from any object.
ATTRIBUTES: Final = frozenset(
    [
        "__subclasses__",
        "__globals__",
        "__code__",
        "__builtins__",
        "__mro__",
        "__bases__",
        "__base__",
        "__closure__",
        "__self__",
        "__loader__",
        "__spec__",
        "__import__",
        "__reduce__",
        "__reduce_ex__",
        "__objclass__",
        "__build_class__",
        "__func__",
        "cell_contents",
        "func_globals",
        "func_code",
        "tb_frame",
        "f_globals",
        "f_locals",
        "f_builtins",
        "f_back",
        "f_code",
        "gi_frame",
        "gi_code",
        "cr_frame",
        "cr_code",
        "ag_frame",
        "ag_code",
        "co_code",
        "co_consts",
        "subprocess_exec",
        "subprocess_shell",
        "enable_load_extension",
        "load_extension",
    ]
)
#: `x.__class__` is everyday code when one of these follows, or when it is called or compared.
AFTER_CLASS: Final = frozenset({"__name__", "__qualname__", "__doc__", "__module__"})
#: Attributes of modules only: on an object of the learner's own they are harmless.
MODULE_ATTRIBUTES: Final = frozenset({"__dict__", "__path__", "__getattribute__"})
#: Functions that take the name of an attribute as text.
BY_NAME: Final = frozenset(
    [
        "builtins.getattr",
        "builtins.setattr",
        "builtins.delattr",
        "builtins.hasattr",
        "operator.attrgetter",
        "operator.methodcaller",
    ]
)
#: Methods that take the name of an attribute as text.
METHODS_BY_NAME: Final = frozenset(
    {"__getattribute__", "__getattr__", "__setattr__", "__delattr__"}
)

_NO_PROCESS: Final = "An app cannot start programs; use FastAPI's `BackgroundTasks` for work."
_TO_LOG: Final = "Log to standard output: it is shown in the live log."
_NO_IMPORT_BY_NAME: Final = "Write an `import` statement."
#: Functions and classes of allowed modules that are refused, with what to do instead.
OBJECTS: Final[Mapping[str, str]] = {
    "io.open": _NO_FILES,
    "io.open_code": _NO_FILES,
    "io.FileIO": _NO_FILES,
    "io.OpenWrapper": _NO_FILES,
    "asyncio.create_subprocess_exec": _NO_PROCESS,
    "asyncio.create_subprocess_shell": _NO_PROCESS,
    "concurrent.futures.ProcessPoolExecutor": "Use `concurrent.futures.ThreadPoolExecutor`.",
    "logging.FileHandler": _TO_LOG,
    "logging.handlers.FileHandler": _TO_LOG,
    "logging.handlers.BaseRotatingHandler": _TO_LOG,
    "logging.handlers.RotatingFileHandler": _TO_LOG,
    "logging.handlers.TimedRotatingFileHandler": _TO_LOG,
    "logging.handlers.WatchedFileHandler": _TO_LOG,
    "mimetypes.read_mime_types": _NO_FILES,
    "jinja2.ModuleLoader": "Use `jinja2.FileSystemLoader` or `Jinja2Templates`.",
    "jinja2.loaders.ModuleLoader": "Use `jinja2.FileSystemLoader` or `Jinja2Templates`.",
    "jinja2.utils.open_if_exists": _NO_FILES,
    "jinja2.utils.import_string": _NO_IMPORT_BY_NAME,
    "pydantic.ImportString": _NO_IMPORT_BY_NAME,
    "pydantic.PyObject": _NO_IMPORT_BY_NAME,
    "pydantic.types.ImportString": _NO_IMPORT_BY_NAME,
    "pydantic.v1.PyObject": _NO_IMPORT_BY_NAME,
    "pydantic.v1.types.PyObject": _NO_IMPORT_BY_NAME,
    "pydantic.v1.utils.import_string": _NO_IMPORT_BY_NAME,
    "types.CodeType": _RUNS_CODE,
    "uvicorn.importer.import_from_string": _NO_IMPORT_BY_NAME,
}
#: Their last parts: an attribute of another name needs no look.
OBJECT_NAMES: Final = frozenset(name.rpartition(".")[2] for name in OBJECTS)


def refused_attribute(name: str) -> bool:
    """Whether text that names an attribute (`getattr`, a format field) leads to the interpreter."""
    return name in ATTRIBUTES or name in MODULE_ATTRIBUTES or name == "__class__"
