import pytest

from api.domain.source_check import check, is_valid
from tests.source_check.corpus import APP, FOLDER, Case, read

CASES = [
    pytest.param(case, id=f"{path.stem}-{case.title}")
    for path in sorted(FOLDER.glob("accepted_*.txt"))
    for case in read(path.name)
]


@pytest.mark.parametrize("case", CASES)
def test_everyday_code_is_not_refused(case: Case) -> None:
    compile(case.text, case.title, "exec", dont_inherit=True)  # the case itself is sound
    found = check({"user_code.py": (case.text + APP).encode()})
    assert [one for one in found if one.severity == "error"] == []
    assert is_valid(found)
