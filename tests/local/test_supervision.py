"""What a process gets, what it may use, and what happens when it ends."""

import asyncio
import os
import signal

import psutil
import pytest

from api.domain.names import AppRef
from api.local import pods
from tests.local.conftest import MakeWorld, World, hello

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD = "import os\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
ENVIRONMENT = HEAD + "@app.get('/')\ndef show():\n    return dict(os.environ)\n"
MEMORY = (
    HEAD
    + "kept = []\n\n\n@app.get('/grow')\ndef grow(mib: int):\n"
    + "    kept.append(b'x' * mib * 1024 * 1024)\n    return len(kept)\n"
)
DATABASE = """\
from fastapi import FastAPI
from sqlmodel import Field, Session, SQLModel, create_engine, select

app = FastAPI()
engine = create_engine("sqlite:///notes.db")


class Note(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    text: str


@app.on_event("startup")
def create() -> None:
    SQLModel.metadata.create_all(engine)


@app.post("/{text}")
def add(text: str) -> int:
    with Session(engine) as session:
        session.add(Note(text=text))
        session.commit()
        return len(session.exec(select(Note)).all())
"""
CHATTY = HEAD + "for number in range(20000):\n    print(f'{number:05}', 'x' * 100)\n"


async def test_a_process_sees_its_variables_and_nothing_of_ours(
    world: World, ref: AppRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "for nobody else")
    values = {"GREETING": "cost: $5 $(GREETING) $$ $(", "EMPTY": "", "LINES": "a\r\nb\t'\""}
    await world.until_live(ref, await world.publish(ref, {"user_code.py": ENVIRONMENT}, env=values))
    seen = (await world.get(ref)).json()
    assert {name: seen.pop(name) for name in values} == values
    allowed = {"PATH", "LANG", "HOME", "TMPDIR", "LC_CTYPE"}
    assert {name for name in seen if not name.startswith("PWD")} <= allowed


async def test_a_crashed_process_is_started_again_ever_later(world: World, ref: AppRef) -> None:
    code = HEAD + "@app.on_event('startup')\ndef fail():\n    raise RuntimeError('no luck')\n"
    intent = await world.publish(ref, {"user_code.py": code})
    first = await world.until(ref, lambda o: o.pods and o.pods[0].phase == "failed")
    assert (first.pods[0].reason, first.pods[0].exit_code) == ("Error", 5)
    later = await world.until(
        ref, lambda o: o.pods[0].restarts == 2 and o.pods[0].phase == "failed"
    )
    pod = later.pods[0]
    assert (pod.reason, pod.intent) == ("CrashLoopBackOff", intent)
    assert pod.started_at is not None
    assert first.pods[0].started_at is not None
    # One second, then two.
    assert (pod.started_at - first.pods[0].started_at).total_seconds() >= 3


async def test_a_killed_process_comes_back_at_the_same_address(world: World, ref: AppRef) -> None:
    intent = await world.publish(ref, hello("one"))
    await world.until_live(ref, intent)
    os.kill(_pids(world, ref)[0], signal.SIGKILL)
    seen = await world.until(ref, lambda o: o.pods[0].phase == "failed")
    assert (seen.pods[0].exit_code, seen.routed_intent) == (137, None)
    seen = await world.until_live(ref, intent)
    assert seen.pods[0].restarts == 1
    assert (await world.get(ref)).json() == {"version": "one"}


async def test_memory_is_limited_and_the_reason_told(make_world: MakeWorld, ref: AppRef) -> None:
    world = await make_world(app_memory_mib=128)
    intent = await world.publish(ref, {"user_code.py": MEMORY})
    await world.until_live(ref, intent)
    assert (await world.get(ref, "/grow", params={"mib": 10})).json() == 1
    await world.get(ref, "/grow", params={"mib": 150})
    seen = await world.until(ref, lambda o: o.pods[0].phase == "failed")
    assert (seen.pods[0].reason, seen.pods[0].exit_code) == ("OOMKilled", 137)
    await world.until_live(ref, intent)


async def test_a_single_huge_allocation_fails(make_world: MakeWorld, ref: AppRef) -> None:
    world = await make_world(app_memory_mib=128)
    await world.until_live(ref, await world.publish(ref, {"user_code.py": MEMORY}))
    assert (await world.get(ref, "/grow", params={"mib": 4000})).status_code == 500


async def test_a_database_file_works_within_the_limits(make_world: MakeWorld, ref: AppRef) -> None:
    world = await make_world(app_memory_mib=128)
    await world.until_live(ref, await world.publish(ref, {"user_code.py": DATABASE}))
    answers = await asyncio.gather(
        *(world.http.post(f"/user/{ref.user_id}/app/{ref.app_id}/note") for _ in range(60))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert max(answer.json() for answer in answers) == 60


async def test_output_is_kept_within_bounds_and_its_end_is_readable(
    world: World, ref: AppRef
) -> None:
    await world.until_live(ref, await world.publish(ref, {"user_code.py": CHATTY}), seconds=60)
    numbers: list[int] = []
    async with asyncio.timeout(30):  # what was written may be read after the app answers
        while not numbers or numbers[-1] != 19_999:
            await asyncio.sleep(0.05)
            lines = [line.text async for line in world.cluster.logs(ref, tail=10_000)]
            numbers = [int(line[:5]) for line in lines if line.endswith("xxx")]
    assert numbers == list(range(numbers[0], 20_000))
    kept = [path.stat().st_size for path in (world.run_folder(ref) / "log").iterdir()]
    assert len(kept) == 2
    assert max(kept) <= 1024 * 1024


async def test_followers_get_what_was_and_what_comes(world: World, ref: AppRef) -> None:
    code = HEAD + "print('started')\n\n\n@app.get('/say')\ndef say(word: str):\n    print(word)\n"
    await world.until_live(ref, await world.publish(ref, {"user_code.py": code}))
    lines = world.cluster.logs(ref, follow=True)
    assert (await anext(lines)).text == "started"
    await world.get(ref, "/say", params={"word": "hällo"})
    async with asyncio.timeout(5):
        assert (await anext(lines)).text == "hällo"
    await lines.aclose()  # type: ignore[attr-defined]


async def test_each_process_leads_a_session_of_its_own(make_world: MakeWorld, ref: AppRef) -> None:
    world = await make_world()
    await world.until_live(ref, await world.publish(ref, hello("one")))
    (pid,) = _pids(world, ref)
    assert os.getsid(pid) == pid != os.getsid(0)
    assert psutil.Process(pid).cwd().startswith(str(world.run_folder(ref)))
    await world.stop()
    assert not psutil.pid_exists(pid)


async def test_a_process_that_answers_no_probe_is_started_again(
    world: World, ref: AppRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "_LIVENESS_SECONDS", 0.1)
    monkeypatch.setattr(pods, "_LONGEST_GRACE", 0.1)
    intent = await world.publish(ref, hello("one"))
    await world.until_live(ref, intent)
    os.kill(_pids(world, ref)[0], signal.SIGSTOP)
    seen = await world.until(ref, lambda o: o.pods[0].phase == "failed")
    assert "Liveness probe failed" in seen.warnings[0]
    await world.until_live(ref, intent)


def _pids(world: World, ref: AppRef) -> list[int]:
    """The app's processes: those that work in its folder."""
    return [
        child.pid
        for child in psutil.Process().children()
        if child.cwd().startswith(str(world.run_folder(ref)))
    ]
