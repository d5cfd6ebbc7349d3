"""Every operation of the API's own description, fed with data made from that description."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from tests.product import ROOT, Person, Product

DESCRIPTION = schemathesis.openapi.from_path(ROOT / "frontend/openapi.json")
CODE = "from fastapi import FastAPI\n\napp = FastAPI()\n"
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
bounded = settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def owner(product: Product) -> Person:
    return product.sign_up()


@pytest.fixture(scope="module")
def leaver(product: Product) -> Person:
    """Somebody whose sessions and password the account routes may change."""
    return product.sign_up()


@pytest.fixture(scope="module")
def app_id(owner: Person) -> str:
    return str(owner.create("Fuzzed", {"user_code.py": CODE})["app_id"])


def call(case: schemathesis.Case, product: Product, token: str) -> None:
    headers: dict[str, Any] = {"Authorization": f"Bearer {token}"}
    answer = case.call(base_url=product.origin, headers=headers, timeout=30)
    case.validate_response(answer, checks=CHECKS)


@DESCRIPTION.parametrize()
@bounded
def test_no_operation_fails_or_breaks_its_promise(
    case: schemathesis.Case, product: Product, owner: Person, leaver: Person
):
    person = leaver if "/auth/" in case.path else owner
    call(case, product, person.token)


@(
    DESCRIPTION.include(path_regex=r"\{app_id\}")
    .exclude(
        lambda operation: (
            operation.operation.method.upper() == "DELETE"
            or operation.operation.path.endswith(("/events", "/logs"))
        )
    )
    .parametrize()
)
@bounded
def test_neither_does_any_on_an_app_that_exists(
    case: schemathesis.Case, product: Product, owner: Person, app_id: str
):
    case.path_parameters["app_id"] = app_id
    call(case, product, owner.token)
