"""From a commit's subject to the page of its pull request."""

import pytest

from api.clients.forge import Place, pull_request_page
from api.domain.authorship import pull_request


@pytest.mark.parametrize(
    ("subject", "named"),
    [
        ("Merge pull request #12 from alice/change", "#12"),
        ("Merge pull request 'Say (#3) more' (#12) from change into main", "#12"),
        ("Say something else (#12)", "#12"),
        ("Say something else (!12)", "!12"),
        ("Say something else", None),
        ("Closes #12", None),
        ("Merge branch 'change' into 'main'", None),
        ("Say it (#1234567890)", None),
        ("Say it (#12/../..)", None),
        ("(#12)", None),
        ("", None),
    ],
)
def test_a_subject_names_its_pull_request(subject: str, named: str | None):
    assert pull_request(subject) == named


@pytest.mark.parametrize(
    ("remote", "named", "page"),
    [
        ("https://github.com/me/apps.git", "#12", "https://github.com/me/apps/pull/12"),
        ("git@git.example.org:me/apps", "#12", "https://git.example.org/me/apps/pulls/12"),
        ("https://e.org/git/me/apps", "#12", "https://e.org/git/me/apps/pulls/12"),
        (
            "https://gitlab.com/class/group/apps.git",
            "!12",
            "https://gitlab.com/class/group/apps/-/merge_requests/12",
        ),
    ],
)
def test_a_pull_request_has_its_page(remote: str, named: str, page: str):
    place = Place.of(remote)
    assert place is not None
    assert pull_request_page(place, named) == page
