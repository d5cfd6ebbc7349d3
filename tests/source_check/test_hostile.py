import ast
import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.domain.source_check import Diagnostic, check
from bench.source_check_fuzz import bytes_of_programs, mutate, pieces

#: Codes of files that were not read to the end, or not at all.
UNREAD = {"syntax_error", "too_deep", "nul", "bidirectional", "lone_carriage_return", "encoding"}
AT_ONCE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_well_formed(files: dict[str, bytes], found: list[Diagnostic]) -> None:
    assert found == sorted(found)
    for one in found:
        assert one.path in {*files, "user_code.py"}
        assert (1, 1) <= (one.line, one.column) <= (one.end_line, one.end_column)
        assert one.message
        assert one.hint
        assert one.severity in ("error", "warning")


@AT_ONCE
@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    files = {"user_code.py": data, "static/a.js": data}
    assert_well_formed(files, check(files))


@AT_ONCE
@given(st.text(max_size=400))
def test_any_text_gets_an_answer(text: str) -> None:
    files = {"user_code.py": text.encode(errors="surrogatepass")}
    assert_well_formed(files, check(files))


@AT_ONCE
@given(
    st.dictionaries(st.text(max_size=20), st.binary(max_size=20), max_size=5), st.text(max_size=9)
)
def test_any_paths_get_an_answer(files: dict[str, bytes], entrypoint: str) -> None:
    found = check(files, entrypoint)
    assert any(one.severity == "error" for one in found)


@AT_ONCE
@given(st.lists(st.sampled_from(pieces()), max_size=60).map("".join))
def test_any_mixture_of_tokens_gets_an_answer(text: str) -> None:
    files = {"user_code.py": text.encode()}
    found = check(files)
    assert_well_formed(files, found)
    if UNREAD.isdisjoint({one.code for one in found}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)


@AT_ONCE
@given(st.sampled_from(bytes_of_programs()), st.randoms(use_true_random=False))
def test_any_mutated_program_gets_an_answer(data: bytes, random: object) -> None:
    files = {"user_code.py": mutate(data, random)}  # type: ignore[arg-type]
    assert_well_formed(files, check(files))
