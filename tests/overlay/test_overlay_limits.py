"""Every field of every object, changed one at a time; and bytes that were never an overlay."""

import asyncio
import copy
from functools import cache

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from api.clients.kustomize import Kustomize
from api.domain.manifests import AppSource, RenderSettings, Templates, render_app
from api.domain.overlay_check import check_files, compare, is_empty
from api.domain.quantity import quantity
from api.domain.repo_layout import EMPTY_OVERLAY, AppFile, Ceilings
from api.domain.source_check import Diagnostic

RESOURCES = (
    "spec", "template", "spec", "containers", 0, "resources",
)  # fmt: skip
CHANGEABLE = {
    ("Deployment", (*RESOURCES, "limits", "cpu")): "300m",
    ("Deployment", (*RESOURCES, "limits", "memory")): "200Mi",
    ("Deployment", (*RESOURCES, "limits", "ephemeral-storage")): "200Mi",
    ("Deployment", (*RESOURCES, "requests", "cpu")): "60m",
    ("Deployment", (*RESOURCES, "requests", "memory")): "70Mi",
    ("Deployment", (*RESOURCES, "requests", "ephemeral-storage")): "20Mi",
    ("Deployment", ("spec", "template", "spec", "terminationGracePeriodSeconds")): 5,
}
REMOVABLE = {path for _, path in CHANGEABLE if "requests" in path} | {(*RESOURCES, "requests")}


@cache
def plain() -> list[dict]:
    app = AppFile(id="shop1", user="uabc", name="Shop", env={"A": "1"})
    source = AppSource(app, ("user_code.py", "static/a.css"), (), "0" * 64)
    files = render_app(Templates.load(), source, RenderSettings("r:1"), running=True, serving=None)
    return asyncio.run(
        Kustomize().build(
            files
            | {
                "code/user_code.py": b"app = 1\n",
                "code/static/a.css": b"a {}\n",
                "overlay/kustomization.yaml": EMPTY_OVERLAY,
            }
        )
    )


def paths(value, path=()):
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(inner, (*path, key))


def changed(number: int, path: tuple, **new: object) -> list[dict]:
    objects = copy.deepcopy(plain())
    place = objects[number]
    for key in path[:-1]:
        place = place[key]
    if "value" in new:
        place[path[-1]] = new["value"]
    else:
        del place[path[-1]]
    return objects


@cache
def fields() -> list[tuple[int, tuple]]:
    return [(number, path) for number, entry in enumerate(plain()) for path in paths(entry)]


def test_every_field_of_every_object_is_the_platforms_but_these():
    for number, path in fields():
        kind = plain()[number]["kind"]
        value = CHANGEABLE.get((kind, path), "other")
        found = compare(plain(), changed(number, path, value=value), Ceilings())
        assert (found == []) == ((kind, path) in CHANGEABLE), (kind, path)
        removed = compare(plain(), changed(number, path), Ceilings())
        assert (removed == []) == (kind == "Deployment" and path in REMOVABLE), (kind, path)


def test_nothing_can_be_added_but_annotations():
    for number, path in [(n, p) for n, entry in enumerate(plain()) for p in ((), *paths(entry))]:
        place = plain()[number]
        for key in path:
            place = place[key]
        if isinstance(place, dict):
            objects = changed(number, (*path, "added"), value="x")
            annotations = path[-1:] == ("annotations",)
            assert (compare(plain(), objects, Ceilings()) == []) == annotations, path
        elif isinstance(place, list):
            objects = changed(number, path, value=[*place, place[0]])
            assert compare(plain(), objects, Ceilings()), path


def test_the_same_value_of_another_type_is_another_value():
    for number, path in fields():
        place = plain()[number]
        for key in path:
            place = place[key]
        other = {"bool": int, "int": str}.get(type(place).__name__)
        if other is not None:
            assert compare(plain(), changed(number, path, value=other(place)), Ceilings()), path


def test_no_object_can_be_added_removed_or_doubled():
    for number in range(len(plain())):
        assert compare(plain(), plain()[:number] + plain()[number + 1 :], Ceilings())
        assert compare(plain(), [*plain(), plain()[number]], Ceilings())
    assert compare(plain(), [*plain(), {"kind": "Secret"}], Ceilings())
    assert compare(plain(), list(reversed(plain())), Ceilings()) == []


def test_the_ceilings_are_those_of_the_repository():
    path = (*RESOURCES, "limits", "memory")
    number = next(n for n, entry in enumerate(plain()) if entry["kind"] == "Deployment")
    objects = changed(number, path, value="1Gi")
    assert compare(plain(), objects, Ceilings())
    assert compare(plain(), objects, Ceilings(memory="1Gi")) == []


@given(st.dictionaries(st.sampled_from(["kustomization.yaml", "p.yaml", "x"]), st.binary()))
def test_any_bytes_get_an_answer(files):
    found = check_files(files)
    assert all(isinstance(entry, Diagnostic) for entry in found)
    assert not (is_empty(files) and found)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "patches",
                    "patch",
                    "path",
                    "target",
                    "kind",
                    "op",
                    "spec",
                    "metadata",
                    "annotations",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(values, values)
def test_any_structure_gets_an_answer(patches, patch):
    head = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
    for content in (
        {**head, "patches": patches},
        {**head, "patches": [patches]},
        {**head, "patches": [{"patch": yaml.safe_dump(patch), "target": {"kind": "Deployment"}}]},
        {**head, "patches": [{"patch": yaml.safe_dump([patch, patches])}]},
    ):
        assert isinstance(
            check_files({"kustomization.yaml": yaml.safe_dump(content).encode()}), list
        )


@given(values, st.integers(0, 10_000))
def test_any_value_anywhere_gets_an_answer(value, field):
    number, path = fields()[field % len(fields())]
    assert isinstance(compare(plain(), changed(number, path, value=value), Ceilings()), list)


@pytest.mark.parametrize(
    ("text", "number"),
    [("250m", 0.25), ("1", 1), ("0.5", 0.5), ("1e3", 1000), ("1E2", 100), ("1k", 1000),
     ("1Ki", 1024), ("128Mi", 134_217_728), ("1Ei", 2**60), ("5u", 5e-6), ("0", 0)],
)  # fmt: skip
def test_quantities_are_numbers(text, number):
    assert float(quantity(text)) == pytest.approx(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1K",
        "1ki",
        "1 ",
        "1\n",
        "m",
        "1e999",
        "1" * 40,
        ".5",
        "1.",
        "NaN",
        "Inf",
        "\u0661",
    ],
)
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="quantity"):
        quantity(text)
