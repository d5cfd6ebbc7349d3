"""What manifests were made with is read back from them, whatever else stands there."""

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
from api.domain.repo_layout import AppFile

TEMPLATES = Templates.load()
IMAGES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,60}", fullmatch=True)
LIKE_IT = '    fastapi-platform/runner-image: "evil"'


@given(image=IMAGES)
def test_what_was_rendered_says_what_it_was_made_with(image):
    app = AppFile(id="a", user="u", name=LIKE_IT.strip(), env={"A": f"\n{LIKE_IT}\n"})
    paths = ("user_code.py", "fastapi-platform/runner-image")
    source = AppSource(app, paths, (), "0" * 64)
    serving = Serving("1" * 64, "a-code-x", paths)
    files = render_app(TEMPLATES, source, RenderSettings(image), running=True, serving=serving)
    assert made_with(files["kustomization.yaml"]) == today(image)
    assert today(image) == MadeWith(RENDERER_VERSION, image)


@given(st.binary(max_size=200))
def test_anything_else_says_nothing(data):
    assert made_with(data) is None


def test_half_of_it_says_nothing():
    assert made_with(b'    fastapi-platform/renderer-version: "1"\n') is None
    whole = b'    fastapi-platform/renderer-version: "x"\n    fastapi-platform/runner-image: "i"\n'
    assert made_with(whole) is None


def test_what_changed_is_told():
    old, new = MadeWith(1, "a"), MadeWith(2, "b")
    assert old.differs_from(new) == "renderer 1 → 2, runner image a → b"
    assert old.differs_from(MadeWith(1, "b")) == "runner image a → b"
    assert old.differs_from(old) == ""
