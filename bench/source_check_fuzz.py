"""Random and mutated inputs for the source check: none may raise, stall or end the process.

`python -m bench.source_check_fuzz [COUNT [SEED]]` runs COUNT inputs (100,000) in a process of its
own for each core and prints counts, the slowest input and every exception.
"""

import functools
import multiprocessing
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from api.domain.source_check import check, is_valid

ROOT = Path(__file__).parent.parent
_WORD = re.compile(rb"[A-Za-z_]\w*")
_WORDS = tuple(
    b"os sys eval exec open app asyncio subprocess getattr __class__ __globals__ import from "
    b"lambda await async yield return global None self cls FastAPI 1 x".split()
)
SECONDS = 1.0  # of processor time, the limit of a check
STALL_SECONDS = 10.0
BATCH = 500
LARGEST = 60_000  # bytes of a program that is mutated


@dataclass
class Result:
    """Counts of one batch."""

    verdicts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, bytes] = (0.0, b"")
    too_slow: int = 0
    raised: list[str] = field(default_factory=list)


@functools.cache
def bytes_of_programs() -> tuple[bytes, ...]:
    """Real programs to mutate, and the evasions of the corpus."""
    paths = [
        *sorted(ROOT.glob("tests/programs/**/*.py")),
        *sorted(ROOT.glob("tests/source_check/corpus/*.txt")),
        *sorted(ROOT.glob("api/domain/*.py")),
    ]
    programs = [path.read_bytes() for path in paths if path.stat().st_size < LARGEST]
    cases = [
        case.partition(b"\n")[2]
        for data in programs
        if data.startswith(b"### ")
        for case in data.replace("«".encode(), b"").replace("»".encode(), b"").split(b"\n### ")
    ]
    return tuple(data for data in (*programs, *cases) if not data.startswith(b"### "))


@functools.cache
def pieces() -> tuple[str, ...]:
    """Tokens that a mixture is made of."""
    words = (
        "import os;from x import *;exec;eval;open;__import__;app;FastAPI();=;:=;(;);[;];{;};:;,;.;"
        "@;*;**;->;lambda;async ;await ;def f;class A;for x in ;while True;if ;else;elif ;try;"
        "except ;finally;with ;match x;case ;_;return ;yield ;raise ;global x;nonlocal x;del x;"
        "'a';\"{0.__globals__}\";f'{x!r:>{y}}';b'';1;1e3;0x1f;None;True;not ;and ;or ;is ;in ;"
        "__class__;__subclasses__;x.y;asyncio;asyncio.sys;getattr;'__globals__';#c;\\"
    )
    others = ("\n", "\n    ", "\n        ", "\t", ";", " ", "\r\n", "\x0c", "\uff4f\uff53", "\xe9")
    return (*words.split(";"), *others, "\u202e", "\x00")


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change a program in one to eight places: words, paragraphs, bytes, slices, tokens."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        data = _change(data, chance, chance.randrange(12))
    return data


def _change(data: bytes, chance: random.Random, kind: int) -> bytes:
    if kind < 5:  # noqa: PLR2004  (mostly what still parses: another word for a word …)
        words = _WORD.findall(data) or [b"x"]
        old, new = chance.choice(words), chance.choice((*words, *_WORDS))
        where = chance.randrange(data.count(old) + 1)
        parts = data.split(old, where)
        return old.join(parts[:-1]) + new + parts[-1] if len(parts) > 1 else data
    if kind < 7:  # noqa: PLR2004  (… or the paragraphs in another order)
        paragraphs = data.split(b"\n\n\n")
        chance.shuffle(paragraphs)
        return b"\n\n\n".join(paragraphs[: chance.randint(1, len(paragraphs))])
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.randrange(1, 40))
    middle = {
        7: b"",
        8: data[at:end] * chance.randrange(1, 20),
        9: chance.choice(pieces()).encode() + data[at:end],
        10: bytes([chance.randrange(256)]) + data[at:end],
        11: chance.choice((b"(", b"[", b"{", b"-", b"a.", b"not ", b"[x for x in ")) * 300,
    }[kind]
    return data[:at] + middle + data[end:]


def make(chance: random.Random) -> bytes:
    """One input: noise, a mixture of tokens, or a mutated program."""
    kind = chance.randrange(10)
    if kind == 0:
        return chance.randbytes(chance.randrange(300))
    if kind <= 2:  # noqa: PLR2004  (two tenths)
        return "".join(chance.choices(pieces(), k=chance.randrange(80))).encode()
    return mutate(chance.choice(bytes_of_programs()), chance)


def run_batch(seed: int, count: int) -> Result:
    """Check `count` inputs made from `seed`."""
    signal.signal(signal.SIGPROF, _stalled)
    chance, result = random.Random(seed), Result()  # noqa: S311  (reproducible, not secret)
    for number in range(count):
        data = make(chance)
        files = (
            {"user_code.py": data, "other.py": make(chance)}
            if number % 3 == 0
            else {"user_code.py": data}
        )
        signal.setitimer(signal.ITIMER_PROF, STALL_SECONDS)
        start = time.process_time()
        try:
            found = check(files)
        except Exception as error:  # noqa: BLE001  (this is what is looked for)
            result.raised.append(f"{seed}/{number}: {error!r}")
            continue
        took = time.process_time() - start
        result.slowest = max(result.slowest, (took, data))
        result.too_slow += took > SECONDS
        result.verdicts["accepted" if is_valid(found) else "refused"] += 1
        result.codes.update({one.code for one in found})
    signal.setitimer(signal.ITIMER_PROF, 0)
    return result


def _stalled(*_: object) -> None:
    raise TimeoutError(f"more than {STALL_SECONDS:g} s of processor time")


def main() -> int:
    """Run all batches and print what came out; the exit status is 1 for any failure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1  # noqa: PLR2004  (the second argument)
    batches = -(-count // BATCH)
    verdicts: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    raised: list[str] = []
    slowest, too_slow = (0.0, b""), 0
    start = time.monotonic()
    with multiprocessing.Pool(os.cpu_count()) as pool:
        jobs = [pool.apply_async(run_batch, (first + n, BATCH)) for n in range(batches)]
        for job in jobs:
            result = job.get()
            verdicts += result.verdicts
            codes += result.codes
            raised += result.raised
            print(f"\r{sum(verdicts.values()):,}", end="", file=sys.stderr, flush=True)
            too_slow += result.too_slow
            slowest = max(slowest, result.slowest)
    print(f"{batches * BATCH:,} inputs in {time.monotonic() - start:.0f} s: {dict(verdicts)}")
    print("diagnostics:", ", ".join(f"{code} {number:,}" for code, number in codes.most_common()))
    print(f"slowest: {slowest[0]:.3f} s of processor time for {len(slowest[1]):,} bytes")
    print(f"over {SECONDS:g} s: {too_slow}; exceptions: {len(raised)}")
    print(*raised[:20], sep="\n")
    return 1 if raised or too_slow else 0


if __name__ == "__main__":
    sys.exit(main())
