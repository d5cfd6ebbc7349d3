import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psutil
import pytest

from api.clients import source_checker
from api.clients.source_checker import SourceChecker
from api.domain.source_check import check
from api.errors import CheckUnavailable

GOOD = {"user_code.py": b"from fastapi import FastAPI\napp = FastAPI()\n"}
BAD = {"user_code.py": b"import os\n" + GOOD["user_code.py"], "b.txt": "äöü\n".encode()}


@pytest.fixture
async def checker() -> AsyncIterator[SourceChecker]:
    checker = SourceChecker()
    await checker.start()
    # Each takes one: both have started, and what is tested is not who starts first.
    await asyncio.gather(
        *(checker.check(GOOD, "user_code.py") for _ in range(source_checker.HELPERS))
    )
    yield checker
    await checker.close()


def _pids(checker: SourceChecker) -> list[int]:
    return [helper._process.pid for helper in checker._all]


async def test_a_helper_answers_what_the_check_says(checker: SourceChecker) -> None:
    assert await checker.check(GOOD, "user_code.py") == []
    assert await checker.check(BAD, "user_code.py") == check(BAD)
    assert await checker.check(BAD, "user_code.py", ["os"]) == check(BAD, "user_code.py", ["os"])


async def test_paths_that_are_no_text_survive_the_way(checker: SourceChecker) -> None:
    files = {"\udc80ä\x00.py": b"", **GOOD}
    assert await checker.check(files, "user_code.py") == check(files)


async def test_large_questions_and_answers_go_through(checker: SourceChecker) -> None:
    many = b"".join(b"import os as a%d\n" % number for number in range(500))
    files = {**GOOD, "a.py": many, **{f"{n}.txt": b"x" * 200_000 for n in "wxyz"}}
    assert await checker.check(files, "user_code.py") == check(files)


async def test_many_questions_at_once_all_get_their_own_answer(checker: SourceChecker) -> None:
    async def ask(number: int) -> int:
        files = {"user_code.py": b"\n" * number + b"import os\n" + GOOD["user_code.py"]}
        return (await checker.check(files, "user_code.py"))[0].line

    assert await asyncio.gather(*map(ask, range(60))) == [number + 1 for number in range(60)]


async def test_what_can_wait_never_takes_every_helper(checker: SourceChecker) -> None:
    ended: list[str] = []

    async def ask(name: str, *, can_wait: bool) -> None:
        assert await checker.check(BAD, "user_code.py", can_wait=can_wait) == check(BAD)
        ended.append(name)

    patient = [asyncio.create_task(ask("validate", can_wait=True)) for _ in range(30)]
    await asyncio.sleep(0)
    urgent = [asyncio.create_task(ask("deploy", can_wait=False)) for _ in range(3)]
    await asyncio.gather(*urgent)
    assert ended.count("validate") < len(patient) // 2
    await asyncio.gather(*patient)
    assert ended.count("validate") == len(patient)


async def test_one_helper_serves_what_can_wait_too() -> None:
    checker = SourceChecker(helpers=1)
    await checker.start()
    assert await checker.check(BAD, "user_code.py", can_wait=True) == check(BAD)
    await checker.close()


async def test_what_can_wait_and_is_cancelled_leaves_its_place_to_others(
    checker: SourceChecker,
) -> None:
    tasks = [
        asyncio.create_task(checker.check(BAD, "user_code.py", can_wait=True)) for _ in range(3)
    ]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await checker.check(BAD, "user_code.py", can_wait=True) == check(BAD)


async def test_a_killed_helper_gives_no_verdict_and_is_replaced(checker: SourceChecker) -> None:
    for pid in _pids(checker):
        os.kill(pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(CheckUnavailable):
            await checker.check(GOOD, "user_code.py")
    assert (
        await asyncio.gather(*(checker.check(BAD, "user_code.py") for _ in range(4)))
        == [check(BAD)] * 4
    )


async def test_one_killed_helper_loses_nobody_elses_check(checker: SourceChecker) -> None:
    os.kill(_pids(checker)[0], signal.SIGKILL)
    answers = await asyncio.gather(
        *(checker.check(BAD, "user_code.py") for _ in range(6)), return_exceptions=True
    )
    lost = [answer for answer in answers if isinstance(answer, CheckUnavailable)]
    assert len(lost) == 1
    assert [answer for answer in answers if answer not in lost] == [check(BAD)] * 5


async def test_a_helper_that_takes_too_long_gives_no_verdict(
    checker: SourceChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_checker, "WALL_SECONDS", 0.3)
    for pid in _pids(checker):
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(CheckUnavailable, match="took more than"):
        await checker.check(GOOD, "user_code.py")


async def test_a_cancelled_question_does_not_mix_up_the_next_answers(
    checker: SourceChecker,
) -> None:
    for _ in range(10):
        task = asyncio.create_task(checker.check(BAD, "user_code.py"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await checker.check(GOOD, "user_code.py") == []
    assert await checker.check(BAD, "user_code.py") == check(BAD)


async def test_helpers_are_gone_after_close() -> None:
    checker = SourceChecker()
    await checker.start()
    pids = _pids(checker)
    await checker.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(CheckUnavailable):
        await checker.check(GOOD, "user_code.py")


async def test_a_helper_ends_when_its_parent_does(checker: SourceChecker) -> None:
    process = next(iter(checker._all))._process
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_a_helper_has_limits_and_no_secrets(
    checker: SourceChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "x" * 40)
    await checker.check(GOOD, "user_code.py")
    helper = psutil.Process(_pids(checker)[0])
    assert helper.rlimit(psutil.RLIMIT_AS)[0] == source_checker.MEMORY_BYTES
    assert set(helper.environ()) <= {"PATH", "LC_ALL"}
    assert "SECRET_KEY" not in helper.environ()
