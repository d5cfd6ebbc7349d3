"""Ten real programs, deployed as a learner would and visited at the address they were given."""

import asyncio

import httpx2
import pytest

from tests.product import Person, Product
from tests.programs.checks import PROGRAMS, Program


@pytest.fixture(scope="module")
def learner(product: Product) -> Person:
    return product.sign_up()


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_deploys_and_works_behind_its_prefix(program: Program, learner: Person) -> None:
    app = learner.create("Program", program.files, entrypoint=program.entrypoint)
    learner.live(app["app_id"])

    async def visit() -> None:
        async with httpx2.AsyncClient(timeout=10) as http:
            await program.check(app["url"], http)

    asyncio.run(visit())
