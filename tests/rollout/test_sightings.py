"""From when deadlines count: dates in git are of making, and a change may arrive much later."""

from dataclasses import replace

from api.domain.progress import Reached
from api.domain.sightings import Sightings
from tests.rollout.scenes import INTENT, WRITTEN, at, look


def test_what_was_pushed_long_after_it_was_made_has_its_time_to_be_published():
    late = replace(WRITTEN, seen_at=at(600))
    assert look(intent=late, reached=Reached(), now=601).stage == "committed"
    shown = look(intent=late, reached=Reached(), now=640)
    assert (shown.stage, shown.error.reason) == ("failed", "not_published")


def test_what_was_published_long_ago_has_its_time_to_be_fetched_after_a_restart():
    restarted = replace(INTENT, seen_at=at(600), publication_seen_at=at(600))
    assert look(intent=restarted, reached=Reached(), now=601).stage == "fetched"
    assert look(intent=restarted, reached=Reached(fetched=True), now=601).stage == "applied"
    assert look(intent=restarted, now=601).stage == "starting"
    assert look(intent=restarted, reached=Reached(), now=700).stage == "failed"


def test_the_times_that_are_shown_stay_those_of_git():
    restarted = replace(INTENT, seen_at=at(600), publication_seen_at=at(600))
    stages = look(intent=restarted, reached=Reached(), now=601).stages
    assert [s.started_at for s in stages[:3]] == [at(0), at(0), at(1)]


def test_a_thing_is_first_seen_once():
    seen = Sightings()
    assert seen.first("a", at(1)) == at(1)
    assert seen.first("a", at(9)) == at(1)
    assert seen.again("a", at(10)) == at(10)
    assert seen.first("a", at(11)) == at(10)


def test_only_the_last_sightings_are_kept():
    seen = Sightings(kept=2)
    for moment, thing in enumerate("abac"):
        seen.first(thing, at(moment))
    assert seen.first("c", at(9)) == at(3)
    assert seen.first("b", at(9)) == at(1)
    assert seen.first("a", at(9)) == at(9)
