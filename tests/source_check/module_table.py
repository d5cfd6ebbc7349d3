"""Import every allowed module in the runner's Python; print what else is reached through each.

Run by test_packages.py with the runner's interpreter, and by hand to regenerate
api/domain/source_modules.py. Arguments: the allowed modules. Output: JSON
{module: {"modules": {attribute: name}, "objects": {attribute: origin}}}.
"""

import importlib
import json
import pkgutil
import sys
import types
import warnings

DANGEROUS = {
    "os", "posix", "pathlib", "pathlib._local", "subprocess", "importlib", "shutil", "tempfile", "runpy", "ctypes",
    "multiprocessing", "socket", "code", "marshal", "pickle", "_pickle", "sys", "inspect", "_frozen_importlib",
    "codecs", "glob", "fileinput", "signal", "mmap", "pkgutil", "gc", "_posixsubprocess",
    "concurrent.futures.process", "importlib.util", "importlib.machinery", "importlib.metadata",
}
SAFE_OBJECTS = {("os", "PathLike")}


def modules_below(name):
    module = importlib.import_module(name)
    yield module
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if info.name.startswith("_"):
            continue
        try:
            yield from modules_below(f"{name}.{info.name}")
        except BaseException as error:
            print(f"{name}.{info.name}: {error!r}", file=sys.stderr)


def describe(module):
    modules, objects = {}, {}
    for attribute, value in list(vars(module).items()):
        if attribute.startswith("__") and attribute != "__builtins__":
            continue
        if isinstance(value, types.ModuleType):
            modules[attribute] = value.__name__
        elif callable(value) and isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            origin = getattr(value, "__module__", None)
            if origin in DANGEROUS:
                objects[attribute] = f"{origin}.{getattr(value, '__name__', '?')}"
    return {"modules": modules, "objects": objects}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = {}
    for name in sys.argv[1:]:
        for module in modules_below(name):
            found[module.__name__] = describe(module)
    json.dump(found, sys.stdout)
