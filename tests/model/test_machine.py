"""Whatever people, replicas and accidents do in whatever order: git is what a simple model says."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pygit2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from api import deployments, verdicts
from api.clients import git_commits, git_upstream, gitops_repo
from api.clients.git_upstream import Move
from api.domain.publication import Checked, Target, shall_run
from api.domain.repo_layout import TenantFile
from api.history import History
from api.init_repo import TEMPLATE
from api.publishing import Publisher
from tests.model.bench import Bench, Clock, Sources
from tests.model.machine import Machine
from tests.model.running import SHARDS

#: For a longer run: how many examples of how many steps.
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("MODEL_STEPS", "25"))
#: What a run must have met to say anything. How threads take their turns decides what one round
#: meets, so there are more where something is missing.
EXERCISED = (
    "publish commits",
    "composed twice",
    "older intents published",
    "rewinds published",
    "removals",
    "accidents",
    "held at rest",
    "refused: SourceRefused",
    "crashes",
)
_ROUNDS = 6
BOUNDED = settings(
    max_examples=EXAMPLES or 30,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    derandomize=not EXAMPLES,
    report_multiple_bugs=False,
    phases=[Phase.generate],  # steps are slow: what is found is told as it was found
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    template = tmp_path_factory.mktemp("model") / "repo.git"
    main = {"platform.yaml": (TEMPLATE / "main" / "platform.yaml").read_bytes()}
    placeholders = {f"apps/{shard}/README.md": b"Apps.\n" for shard in SHARDS}
    branches = {f"flux/{shard}": {"README.md": b"Written by the platform.\n"} for shard in SHARDS}
    gitops_repo.create(template, main | placeholders, branches)
    checker = Sources()
    with asyncio.Runner() as runner:
        runner.run(checker.start())
        yield Bench(runner, checker, template, Clock())
        runner.run(checker.close())


@pytest.fixture(autouse=True)
def machine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> type[Machine]:
    monkeypatch.setattr(deployments, "new_app_id", lambda name: name)
    monkeypatch.setattr(deployments, "datetime", bench.clock)
    monkeypatch.setattr(git_commits, "_now", bench.clock)
    Machine.bench = bench
    Machine.total = Counter()
    return Machine


def test_git_is_what_a_simple_model_says(
    machine: type[Machine], capsys: pytest.CaptureFixture[str]
) -> None:
    total = machine.total
    lost = list(EXERCISED)
    for another in range(_ROUNDS):
        same_each_time = BOUNDED.derandomize and not another
        run_state_machine_as_test(machine, settings=settings(BOUNDED, derandomize=same_each_time))
        lost = [name for name in EXERCISED if total[name] == 0]
        if not lost:
            break
    with capsys.disabled():
        if EXAMPLES:
            sys.stdout.write("".join(f"{n:8} {name}\n" for name, n in sorted(total.items())))
    assert not lost, f"these never happened: {lost}"


def _never(*_: object, **__: object) -> None:
    """No obstacle, ever."""


async def _nobody(*_: object) -> dict[str, str]:
    return {}


def _overwrites(repository: pygit2.Repository, move: Move) -> bool:
    name = f"refs/heads/{move.branch}"
    repository.references.create(name, pygit2.Oid(hex=move.new), force=True)
    return True


def _unchecked(newest: Checked, _: object, __: object, tenant: TenantFile) -> tuple[object, None]:
    if newest.app is None:
        return None, None
    running = shall_run(newest.app, tenant)
    return Target(newest.entries, newest.app, patched=False, running=running), None


@dataclass(frozen=True)
class Fault:
    """Something of the product that is put out of order, and what the model says of it."""

    where: object
    name: str
    instead: object
    words: str


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Publisher, "_obstacle", _never, "published over a newer intent"),
        Fault(History, "owners", _nobody, "newest good intent|nobody tells of"),
        Fault(git_upstream, "compare_and_swap", _overwrites, "never forced"),
        Fault(verdicts, "decide", _unchecked, "newest good intent|nobody tells of"),
    ],
    ids=["older over newer", "no owners", "branches overwritten", "nothing is held"],
)
def test_a_fault_put_into_the_product_is_found(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(fault.where, fault.name, fault.instead)
    with pytest.raises(AssertionError, match=fault.words):
        run_state_machine_as_test(machine, settings=settings(BOUNDED, max_examples=100))
