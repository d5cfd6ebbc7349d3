"""Cost of the source check against `ast.parse` of the same files: in process, and by the helper.

The aim is at most 3 times `ast.parse` + 1 ms with the helper's round trip included. Programs:
those of tests/programs, and modules of installed packages for size. Run with
`python -m bench.source_check`.
"""

import ast
import asyncio
import functools
import inspect
import math
import time
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path

from api.clients.source_checker import SourceChecker
from api.domain.source_check import check

REPEAT = 40
LARGE = (
    "starlette.responses",
    "starlette.routing",
    "starlette.applications",
    "fastapi.applications",
)
PROGRAMS = Path(__file__).parent.parent / "tests" / "programs"


def programs() -> dict[str, dict[str, bytes]]:
    """Name → files, small ones first."""
    found = {}
    for folder in sorted(path for path in PROGRAMS.iterdir() if path.is_dir()):
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*.py"))
            if path.is_file()
        }
        if files:
            found[folder.name] = files
    for module in LARGE:
        spec = util.find_spec(module)
        if spec is not None and spec.origin is not None:
            found[module] = {"user_code.py": Path(spec.origin).read_bytes()}
    return dict(sorted(found.items(), key=lambda item: sum(map(len, item[1].values()))))


def parse(files: dict[str, bytes]) -> None:
    """The peer: what Python itself needs to read the same files."""
    for data in files.values():
        ast.parse(data)


async def best(runs: Sequence[Callable[[], object]]) -> list[float]:
    """The least disturbed of REPEAT rounds for each, taking turns; in milliseconds."""
    times = [math.inf] * len(runs)
    for _ in range(REPEAT):
        for number, run in enumerate(runs):
            start = time.perf_counter()
            answer = run()
            if inspect.isawaitable(answer):
                await answer
            times[number] = min(times[number], (time.perf_counter() - start) * 1000)
    return times


async def main() -> None:
    """Print one line for each program."""
    checker = SourceChecker()
    await checker.start()
    print(f"{'program':26} {'bytes':>8} {'parse ms':>9} {'check':>8} {'helper':>8} {'limit':>8}")
    everything = programs()
    within = 0
    for name, files in everything.items():
        entrypoint = "user_code.py" if "user_code.py" in files else "app/main.py"
        runs = (
            functools.partial(parse, files),
            functools.partial(check, files, entrypoint),
            functools.partial(checker.check, files, entrypoint),
        )
        parsed, checked, asked = await best(runs)
        limit = 3 * parsed + 1
        within += asked <= limit
        print(
            f"{name:26} {sum(map(len, files.values())):8} {parsed:9.2f} {checked:8.2f} "
            f"{asked:8.2f} {limit:8.2f}   {asked / parsed:4.1f} times "
            f"{'' if asked <= limit else 'too slow'}"
        )
    print(f"{within} of {len(everything)} within 3 times ast.parse + 1 ms, round trip included")
    await checker.close()


if __name__ == "__main__":
    asyncio.run(main())
