// @vitest-environment jsdom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, expect, it, vi } from "vitest";
import { useLocation } from "wouter";
import type { DeployStatus, HistoryEntry, PastVersion } from "../../api/types";
import { platform, show } from "../../testing/page";
import { loadDraft, newDrafts, saveDraft } from "../drafts/drafts";
import { open } from "../editor/workspace";
import HistoryPage from "./HistoryPage";

// Monaco needs a real page; the browser test has one.
vi.mock("../editor/DiffView", () => ({
  DiffView: ({ difference }: { difference: { before?: string; after?: string } }) => (
    <pre data-testid="diff">{`${difference.before}→${difference.after}`}</pre>
  ),
}));

const NEW = "b".repeat(40);
const OLD = "a".repeat(40);
const GONE = "d".repeat(40);
const who = { name: "ada", kind: "editor" } as const;
const code = { path: "code/user_code.py", status: "modified", added: 1, removed: 1 } as const;

function entry(commit: string, over: Partial<HistoryEntry> = {}): HistoryEntry {
  return {
    commit,
    at: "2026-01-01T12:00:00Z",
    who,
    action: "deploy",
    subject: "deploy shop-1: Shop",
    changes: [code],
    more_changes: 0,
    live: commit === NEW,
    ...over,
  };
}

function version(commit: string, text: string, over: Partial<PastVersion> = {}): PastVersion {
  return {
    ...entry(commit),
    parent: null,
    exists: true,
    name: "Shop",
    entrypoint: "user_code.py",
    env: {},
    files: { "user_code.py": text },
    overlay: {},
    omitted: [],
    changes: [{ ...code, diff: "", old: "before", new: text }],
    ...over,
  };
}

const page = { deleted: false, next: null };
const app = { app_id: "shop-1", name: "Shop", url: "http://localhost:8001/user/u1/app/shop-1/" };
const live: DeployStatus = {
  stage: "live",
  progress: 100,
  message: "Live.",
  commit: "e".repeat(40),
  stages: [],
  error: null,
};
const base = {
  "GET /api/auth/me": { body: { user_id: "u1", username: "ada" } },
  "GET /api/apps": { body: { apps: [app] } },
  "GET /api/apps/shop-1/history": { body: { ...page, entries: [entry(NEW), entry(OLD)] } },
  [`GET /api/apps/shop-1/history/${NEW}`]: { body: version(NEW, "new") },
  [`GET /api/apps/shop-1/history/${OLD}`]: { body: version(OLD, "old") },
};
const refused = {
  status: 422,
  body: {
    error: {
      code: "source_refused",
      message: "The version aaaaaaa does not pass the check any more.",
      hint: "Open that version in the editor.",
      details: {
        commit: OLD,
        diagnostics: [
          {
            path: "user_code.py",
            line: 3,
            column: 1,
            severity: "error",
            code: "import-refused",
            message: "`subprocess` is not available.",
            hint: "Leave it out.",
          },
        ],
      },
    },
  },
};

/** As the application shows it: by the page's address. */
function Routed() {
  const [, , id = "", , commit] = useLocation()[0].split("/");
  return <HistoryPage appId={id} commit={commit} />;
}

function visit(path: string): void {
  window.history.replaceState(null, "", path);
  show(<Routed />);
}

beforeEach(() => {
  window.scrollTo = () => undefined;
});

it("lists who did what, and marks in words what is live", async () => {
  platform(base);
  visit("/apps/shop-1/history");
  await screen.findByRole("heading", { level: 1, name: "History of Shop" });
  const rows = screen.getAllByRole("listitem");
  expect(rows.map((row) => within(row).queryByText("Live now") !== null)).toEqual([true, false]);
  const [row] = rows;
  expect(row?.textContent).toContain("ada in the editor");
  const link = screen.getAllByRole("link", { name: "Deployed changes to user_code.py" })[1];
  expect(link?.getAttribute("href")).toBe(`/apps/shop-1/history/${OLD}`);
  expect(row?.querySelector("time")?.title).toBe(new Date("2026-01-01T12:00:00Z").toLocaleString());
});

it("leads to the pull request that a commit came by", async () => {
  const there = "https://git.example.org/me/apps/pulls/3";
  const who = { name: "grace", kind: "pull_request", pull_request: there } as const;
  const entries = [entry(NEW, { who })];
  platform({ ...base, "GET /api/apps/shop-1/history": { body: { ...page, entries } } });
  visit("/apps/shop-1/history");
  const link = await screen.findByRole("link", { name: "by pull request" });
  expect(link.getAttribute("href")).toBe(there);
});

it("says that it does not know what is live when the cluster cannot be asked", async () => {
  const entries = [entry(NEW, { live: null })];
  platform({ ...base, "GET /api/apps/shop-1/history": { body: { ...page, entries } } });
  visit("/apps/shop-1/history");
  expect(await screen.findByText(/cluster cannot be asked/)).toBeTruthy();
  expect(screen.queryByText("Live now")).toBeNull();
});

it("loads older ones and goes on at the first of them", async () => {
  const older = [entry(OLD)];
  const answers = [
    { ...page, entries: [entry(NEW)], next: NEW },
    { ...page, entries: older },
  ];
  platform({ ...base, "GET /api/apps/shop-1/history": () => ({ body: answers.shift() }) });
  visit("/apps/shop-1/history");
  fireEvent.click(await screen.findByRole("button", { name: "Load more" }));
  await waitFor(() => expect(screen.getAllByRole("listitem")).toHaveLength(2));
  expect(document.activeElement?.getAttribute("href")).toBe(`/apps/shop-1/history/${OLD}`);
  expect(screen.queryByRole("button", { name: "Load more" })).toBeNull();
});

it("tells what is wrong with an address", async () => {
  const error = { code: "commit_not_found", message: "No such commit.", hint: "", details: {} };
  platform({ ...base, "GET /api/apps/shop-1/history/abc": { status: 404, body: { error } } });
  visit("/apps/shop-1/history/abc");
  expect(await screen.findByText("No such commit.")).toBeTruthy();
});

it("going back shows what it changes, and is followed like any deploy", async () => {
  const sent = platform({
    ...base,
    "POST /api/apps/shop-1/rollback": { status: 202, body: { ...app, commit: live.commit } },
    "GET /api/apps/shop-1/deploy-status": { body: live },
  });
  visit(`/apps/shop-1/history/${OLD}`);
  expect((await screen.findByTestId("diff")).textContent).toBe("before→old");
  fireEvent.click(screen.getByRole("button", { name: "Roll back to this version" }));
  const dialog = within(screen.getByRole("dialog"));
  await dialog.findByText("1 file changes.");
  expect((await dialog.findByTestId("diff")).textContent).toBe("new→old");
  fireEvent.click(dialog.getByRole("button", { name: "Roll back" }));
  await screen.findByText("Live.");
  expect(sent.find(({ method }) => method === "POST")?.body).toEqual({ commit: OLD });
  expect(window.location.pathname).toBe("/apps/shop-1/history");
  const [link] = screen.getAllByRole("link", { name: "Open app" });
  expect(link?.getAttribute("href")).toBe(app.url);
});

it("the newest version offers no way back to itself", async () => {
  platform(base);
  visit(`/apps/shop-1/history/${NEW}`);
  await screen.findByTestId("diff");
  expect(screen.queryByRole("button", { name: "Roll back to this version" })).toBeNull();
});

it("a refusal names the rule and opens that version in the editor, over no draft unasked", async () => {
  platform({ ...base, "POST /api/apps/shop-1/rollback": refused });
  const key = { userId: "u1", kind: "apps", id: "shop-1" } as const;
  const content = { name: "Shop", entrypoint: "user_code.py", files: {}, env: {} };
  saveDraft(key, open(content, { ...content, commit: NEW }), new Date());
  visit(`/apps/shop-1/history/${OLD}`);
  fireEvent.click(await screen.findByRole("button", { name: "Roll back to this version" }));
  await screen.findByText("1 file changes.");
  fireEvent.click(screen.getByRole("button", { name: "Roll back" }));
  expect(await screen.findByText(/is not available/)).toBeTruthy();
  expect(screen.getByText("user_code.py:3 · import-refused")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Roll back" })).toBeNull();

  const opener = screen.getByRole("button", { name: "Open in the editor" });
  expect(document.activeElement).toBe(opener);
  fireEvent.click(opener);
  expect(loadDraft(key)?.content.files).toEqual({});
  fireEvent.click(await screen.findByRole("button", { name: "Replace them" }));
  expect(loadDraft(key)).toMatchObject({
    content: { files: { "user_code.py": "old" } },
    base: { commit: NEW, files: { "user_code.py": "new" } },
  });
  expect(window.location.pathname).toBe("/apps/shop-1");
});

const deleted = {
  ...base,
  "GET /api/apps": { body: { apps: [] } },
  "GET /api/apps/shop-1/history": {
    body: {
      ...page,
      deleted: true,
      entries: [entry(GONE, { action: "delete", subject: "delete shop-1: Shop" }), entry(OLD)],
    },
  },
};

it("a deleted app keeps its name and its history, and comes back", async () => {
  platform({
    ...deleted,
    "POST /api/apps/shop-1/restore": { status: 202, body: { ...app, commit: live.commit } },
    "GET /api/apps/shop-1/deploy-status": { body: live },
  });
  visit("/apps/shop-1/history");
  await screen.findByRole("heading", { level: 1, name: "History of Shop" });
  expect(screen.queryByRole("link", { name: "Open the editor" })).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Restore" }));
  expect(await screen.findByText("Live.")).toBeTruthy();
});

it("one that may not come back opens in the editor as a new app", async () => {
  platform({ ...deleted, "POST /api/apps/shop-1/restore": refused });
  visit("/apps/shop-1/history");
  fireEvent.click(await screen.findByRole("button", { name: "Restore" }));
  fireEvent.click(await screen.findByRole("button", { name: "Open in the editor" }));
  const [made] = newDrafts("u1");
  expect(made?.draft).toMatchObject({ content: { files: { "user_code.py": "old" } } });
  expect(made?.draft.base).toBeUndefined();
  expect(window.location.pathname).toBe(`/drafts/${made?.id}`);
});
