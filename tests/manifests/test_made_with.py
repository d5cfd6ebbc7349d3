"""What manifests were made with is read back from them, whatever else stands there."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from api.domain.made_with import MadeWith, made_with, today
from api.domain.manifests import (
    RENDERER_VERSION,
    AppSource,
    RenderSettings,
    Serving,
    Templates,
    render_app,
)
from api.domain.repo_layout import AppFile, Ceilings

TEMPLATES = Templates.load()
IMAGES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,60}", fullmatch=True)
LIKE_IT = '    fastapi-platform/runner-image: "evil"'


@given(image=IMAGES, blocked=st.sampled_from([(), ("203.0.113.0/24",)]))
def test_what_was_rendered_says_what_it_was_made_with(image, blocked):
    app = AppFile(id="a", user="u", name=LIKE_IT.strip(), env={"A": f"\n{LIKE_IT}\n"})
    paths = ("user_code.py", "fastapi-platform/runner-image")
    source = AppSource(app, paths, (), "0" * 64)
    serving = Serving("1" * 64, "a-code-x", paths)
    settings = RenderSettings(image, blocked_cidrs=blocked)
    files = render_app(TEMPLATES, source, settings, running=True, serving=serving)
    assert made_with(files["kustomization.yaml"]) == today(settings)
    assert today(settings) == MadeWith(RENDERER_VERSION, image, settings.digest)


@given(st.binary(max_size=200))
def test_anything_else_says_nothing(data):
    assert made_with(data) is None


def test_half_of_it_says_nothing():
    assert made_with(b'    fastapi-platform/renderer-version: "1"\n') is None
    whole = b'    fastapi-platform/renderer-version: "x"\n    fastapi-platform/runner-image: "i"\n'
    assert made_with(whole) is None


def test_what_changed_is_told():
    old, new = MadeWith(1, "a", "s"), MadeWith(2, "b", "s")
    assert old.differs_from(new) == "renderer 1 → 2, runner image a → b"
    assert old.differs_from(MadeWith(1, "b", "s")) == "runner image a → b"
    assert old.differs_from(MadeWith(1, "a", "t")) == "other settings"
    assert MadeWith(1, "a", None).differs_from(old) == "with settings it does not name"
    assert old.differs_from(old) == ""


def test_manifests_of_older_releases_are_read_and_do_not_name_their_settings():
    older = b'    fastapi-platform/renderer-version: "3"\n    fastapi-platform/runner-image: "i"\n'
    assert made_with(older) == MadeWith(3, "i", None)


OTHER_SETTINGS = {
    "apps_host": "apps.example.org",
    "entry_points": ("websecure",),
    "max_apps": 21,
    "ceilings": Ceilings(cpu="1"),
    "trusted_proxies": "10.0.0.1",
    "traefik_namespace": "router",
    "platform_namespace": "elsewhere",
    "blocked_cidrs": ("203.0.113.0/24",),
    "image_pull_secret": "pull",
}


def test_every_setting_but_the_image_changes_the_digest():
    plain = RenderSettings("image")
    assert {field.name for field in fields(plain)} == {"runner_image", *OTHER_SETTINGS}
    digests = {replace(plain, **{name: value}).digest for name, value in OTHER_SETTINGS.items()}
    assert len(digests) == len(OTHER_SETTINGS)
    assert plain.digest not in digests
    assert plain.digest == RenderSettings("another").digest
