"""The learner's files: copied to a folder they may write to, and imported from there as modules.

Their text is decoded here and compiled as text, so an encoding declaration never turns a comment
into code, and code objects carry the learner's own relative file names (`routers/items.py`).
"""

import importlib
import os
import sys
from importlib.machinery import FileFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any


class NoApp(Exception):
    """The entrypoint was imported, but its `app` is missing or cannot be served."""


def copy_files(source: str, workdir: str) -> frozenset[str]:
    """Copy every file of `source` into `workdir`; the relative paths, with `/`.

    A ConfigMap volume shows its files as links into `..data`: links are followed, and names that
    start with two dots are the volume's own.
    """
    copied: list[str] = []
    _copy(source, workdir, "", copied)
    return frozenset(copied)


def _copy(source: str, target: str, inside: str, copied: list[str]) -> None:
    os.makedirs(target, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name.startswith("..") or entry.name == "__pycache__":
                continue
            path = os.path.join(target, entry.name)
            if entry.is_dir():
                _copy(entry.path, path, f"{inside}{entry.name}/", copied)
            elif entry.is_file():
                with open(entry.path, "rb") as file:
                    content = file.read()
                with open(path, "wb") as file:
                    file.write(content)
                copied.append(inside + entry.name)


class _TextLoader(SourceFileLoader):
    """Compiles UTF-8 text, whatever line 1 or 2 declares; writes no bytecode."""

    def get_source(self, fullname: str) -> str:
        data = self.get_data(self.get_filename(fullname))
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            shown = self._shown(fullname)
            raise SyntaxError("not UTF-8", (shown, line, None, None)) from None

    def get_code(self, fullname: str) -> CodeType:
        shown = self._shown(fullname)
        try:
            code: CodeType = compile(self.get_source(fullname), shown, "exec", dont_inherit=True)
        except ValueError as error:  # Python 3.11 says so of a NUL, without a place
            raise SyntaxError(str(error), (shown, 1, None, None)) from None
        return code

    def _shown(self, fullname: str) -> str:
        return os.path.relpath(self.get_filename(fullname))


def make_importable(workdir: str) -> None:
    """Work in `workdir` and let `import` find its files first, as `uvicorn user_code:app` does."""
    os.chdir(workdir)

    def finder(path: str) -> FileFinder:
        if path != workdir and not path.startswith(workdir + os.sep):
            raise ImportError(path)
        return FileFinder(path, (_TextLoader, [".py"]))

    sys.path_hooks.insert(0, finder)
    sys.path.insert(0, workdir)


def load_app(entrypoint: str) -> Any:
    """Import the entrypoint and return its `app`, an ASGI application.

    Raises NoApp; whatever the learner's code raises passes through.
    """
    module = _import_entrypoint(entrypoint)
    try:
        app = module.app
    except AttributeError:
        raise NoApp(
            f"{entrypoint} has no `app`: create one with `app = FastAPI()` outside any function."
        ) from None
    if not _is_application(app):
        kind = app.__name__ if isinstance(app, type) else type(app).__name__
        what = "the class" if isinstance(app, type) else "a"
        raise NoApp(f"`app` in {entrypoint} is {what} {kind}, not a FastAPI application.")
    return app


def _import_entrypoint(entrypoint: str) -> ModuleType:
    path = entrypoint.removesuffix(".py")
    if "." not in path and path != "__main__":
        return importlib.import_module(path.removesuffix("/__init__").replace("/", "."))
    # `my.app.py` cannot be named in an import, and `__main__` is this program's own name.
    from importlib import util  # noqa: PLC0415 - most starts have no need for it

    folder, _, file = path.rpartition("/")
    stem = "__entrypoint__" if file == "__main__" else file.replace(".", "_")
    name = f"{folder.replace('/', '.')}.{stem}" if folder and "." not in folder else stem
    absolute = os.path.abspath(entrypoint)
    spec = util.spec_from_file_location(name, absolute, loader=_TextLoader(name, absolute))
    if spec is None or spec.loader is None:
        raise ImportError(entrypoint)
    module = sys.modules[name] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_application(app: object) -> bool:
    """Whether `app` is a FastAPI or Starlette application, or another ASGI 3 callable."""
    applications = sys.modules.get("starlette.applications")
    if applications and isinstance(app, applications.Starlette):
        return True
    routing = sys.modules.get("starlette.routing")
    if isinstance(app, type) or (routing and isinstance(app, routing.Router)):
        return False  # `app = FastAPI` and `app = APIRouter()` can be called, but serve nothing
    function = app if hasattr(app, "__code__") else type(app).__call__
    code = getattr(function, "__code__", None)
    return code is not None and code.co_argcount == (3 if function is app else 4)
