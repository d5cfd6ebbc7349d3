import pytest

from api.domain.source_check import check, is_valid
from tests.source_check.corpus import APP, Case, read

CASES = [
    pytest.param(case, id=f"{name}-{case.title}")
    for name in ("imports", "builtins", "attributes", "import_time")
    for case in read(f"refused_{name}.txt")
]


@pytest.mark.parametrize("case", CASES)
def test_what_leads_out_is_named_where_it_stands(case: Case) -> None:
    found = check({"user_code.py": (case.text + APP).encode()})
    errors = [one for one in found if one.severity == "error"]
    places = [(one.line, one.column, one.end_line, one.end_column) for one in errors]
    assert places == list(case.places), errors
    assert {one.code for one in errors} == {case.code}
    assert all(one.message and one.hint for one in errors)
    assert not is_valid(found)
