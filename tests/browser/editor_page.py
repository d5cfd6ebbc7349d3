"""What a person does with the editor, through roles and names as assistive technology sees them."""

from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.product import PASSWORD

STAGES = ("validated", "committed", "fetched", "applied", "starting", "live")
LIVE_MILLISECONDS = 45_000


@dataclass
class EditorPage:
    """The editor in one tab."""

    page: Page

    def sign_up(self, username: str) -> None:
        """Make an account by hand; ends on the dashboard."""
        self.page.goto("/")
        self.page.get_by_role("link", name="Sign up").click()
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Email").fill(f"{username}@example.org")
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_role("button", name="Sign up").click()
        expect(self.page.get_by_role("heading", name="Apps", exact=True)).to_be_visible()

    def begin(self, starter: str) -> None:
        """Open a starter from the empty dashboard."""
        self.page.get_by_role("button", name=starter).click()
        self.expect_ready()

    def expect_ready(self) -> None:
        """The code is there and was checked."""
        self.code.wait_for(state="attached")
        expect(self.page.get_by_role("button", name="No problems")).to_be_visible(timeout=20_000)

    @property
    def code(self):
        """Monaco's own text area."""
        return self.page.get_by_role("textbox", name="Code of")

    def write(self, text: str) -> None:
        """Replace the open file; pasted, because the editor indents what is typed by itself."""
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.code.focus()
        self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.press("Control+v")

    def deploy(self) -> None:
        """Deploy as the hand on the keyboard does; ends when the platform has a new commit."""
        before = self.commits()
        self.code.focus()
        self.page.keyboard.press("Control+Enter")
        expect(self.commit).not_to_have_attribute("title", before[0] if before else "none yet")

    @property
    def commit(self):
        """The commit that the progress is about."""
        return self.page.get_by_role("tabpanel").locator("code[title]")

    def commits(self) -> list[str]:
        """The commit that is shown, if any."""
        shown = self.commit
        return [shown.get_attribute("title") or ""] if shown.count() else []

    def stage(self, name: str, state: str):
        """The mark of a stage that is in a state."""
        return self.page.locator(f'li[data-stage="{name}"][data-state="{state}"]')

    @property
    def says(self):
        """The sentence about the newest deploy."""
        return self.page.get_by_role("status", name="Deploy status")

    def expect_live(self) -> None:
        """All six stages are done."""
        for name in STAGES:
            expect(self.stage(name, "done")).to_be_visible(timeout=LIVE_MILLISECONDS)

    @property
    def app_url(self) -> str:
        """Where the app is, as its link says."""
        return self.page.get_by_role("link", name="Open app").first.get_attribute("href") or ""
