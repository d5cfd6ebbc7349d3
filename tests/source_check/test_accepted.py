from pathlib import Path

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


PROGRAMS = FOLDER.parents[1] / "programs"


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(folder, id=folder.name)
        for folder in sorted(PROGRAMS.iterdir())
        if any(file.name != "checks.py" for file in folder.rglob("*.py"))
    ],
)
def test_the_real_programs_are_accepted_without_a_word(folder: Path) -> None:
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    entrypoint = "user_code.py" if "user_code.py" in files else "app/main.py"
    assert check(files, entrypoint) == []
