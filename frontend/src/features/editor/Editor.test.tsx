// @vitest-environment jsdom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, expect, it, vi } from "vitest";
import { useLocation } from "wouter";
import type { App, DeployStatus } from "../../api/types";
import { platform, show } from "../../testing/page";
import { loadDraft, saveDraft } from "../drafts/drafts";
import { Editor } from "./Editor";
import { open, type Workspace } from "./workspace";

// Monaco needs a real page; the browser test has one. Here a text box stands for it, and a button
// for keys that Monaco hears one after the other before anything is drawn.
vi.mock("./CodeEditor", () => ({
  default: (props: {
    files: Record<string, string>;
    path: string;
    goTo?: { line: number };
    onEdit: (path: string, text: string) => void;
    onDeploy: () => void;
  }) => (
    <>
      <textarea
        aria-label="Code"
        data-line={props.goTo?.line}
        value={props.files[props.path] ?? ""}
        onChange={(event) => props.onEdit(props.path, event.target.value)}
      />
      <button
        type="button"
        onClick={() => {
          props.onEdit(props.path, "app = 9\n");
          props.onDeploy();
          props.onDeploy();
        }}
      >
        Type and deploy twice
      </button>
    </>
  ),
}));
vi.mock("./DiffView", () => ({ DiffView: () => <div>Differences</div> }));

const content = {
  name: "Shop",
  entrypoint: "user_code.py",
  files: { "user_code.py": "app = 1\n" },
  env: {},
};
const app: App = {
  app_id: "shop-1",
  user_id: "u1",
  name: "Shop",
  url: "http://localhost:8001/user/u1/app/shop-1/",
  entrypoint: "user_code.py",
  status: "running",
  commit: "c1",
  created_at: "2026-01-01T00:00:00Z",
  deployed_at: "2026-01-01T00:00:00Z",
  last_activity_at: "2026-01-01T00:00:00Z",
  hibernates_at: null,
  expires_at: null,
  pinned: false,
};
const base = { ...content, commit: "c1" };

function ended(stage: "live" | "failed", error: DeployStatus["error"] = null): DeployStatus {
  const message =
    stage === "live" ? "Live." : `${error?.message} The version before keeps serving.`;
  return { stage, progress: 100, message, commit: "c2", stages: [], error };
}

function refusal(status: number, code: string, details: object) {
  const error = { code, message: "It was refused.", hint: "Correct it.", details };
  return { status, body: { error } };
}

const valid = { body: { valid: true, diagnostics: [] } };
const me = { userId: "u1" };

function edit(workspace: Workspace = open(content, base)) {
  return show(<Editor {...me} kind="apps" id="shop-1" workspace={workspace} app={app} />);
}

/** The editor at the page's address, which changes under it with the first deploy. */
function Routed({ workspace }: { workspace: Workspace }) {
  const [, kind, id = ""] = useLocation()[0].split("/");
  const where = kind === "apps" ? "apps" : "drafts";
  return <Editor {...me} kind={where} id={id} workspace={workspace} app={undefined} />;
}

async function type(text: string) {
  fireEvent.change(await screen.findByLabelText("Code"), { target: { value: text } });
}

beforeEach(() => {
  window.history.replaceState(null, "", "/apps/shop-1");
});

it("the first deploy makes the app, drops the draft and stays in the editor", async () => {
  const key = { userId: "u1", kind: "drafts", id: "d1" } as const;
  const workspace = open(content);
  saveDraft(key, workspace, new Date());
  const sent = platform({
    "POST /api/apps/validate": valid,
    "POST /api/apps": { status: 202, body: app },
    "GET /api/apps/shop-1/deploy-status": { body: ended("live") },
  });
  window.history.replaceState(null, "", "/drafts/d1");
  show(<Routed workspace={workspace} />);
  fireEvent.click(screen.getByRole("button", { name: /^Deploy/ }));
  await screen.findByText("Live.");
  const post = sent.find(({ method, path }) => method === "POST" && path === "/api/apps");
  expect(post?.body).toEqual(content);
  expect(post?.headers.get("Idempotency-Key")).toBe("d1");
  expect(window.location.pathname).toBe("/apps/shop-1");
  await waitFor(() => expect(loadDraft(key)).toBeUndefined());
  const [link] = screen.getAllByRole("link", { name: "Open app" });
  expect(link?.getAttribute("href")).toBe(app.url);
});

it("the next one changes the same app, based on the commit it was begun from", async () => {
  const sent = platform({
    "POST /api/apps/validate": valid,
    "PUT /api/apps/shop-1": { status: 202, body: { ...app, commit: "c2" } },
    "GET /api/apps/shop-1/deploy-status": { body: ended("live") },
  });
  edit();
  await type("app = 2\n");
  expect(screen.getByText("Undeployed changes")).toBeTruthy();
  fireEvent.keyDown(window, { key: "Enter", ctrlKey: true });
  await waitFor(() => expect(screen.queryByText("Undeployed changes")).toBeNull());
  expect(sent.find(({ method }) => method === "PUT")?.body).toEqual({
    ...content,
    files: { "user_code.py": "app = 2\n" },
    base_commit: "c1",
  });
});

it("what was typed the moment before is deployed, and two presses are one", async () => {
  const sent = platform({
    "POST /api/apps/validate": valid,
    "PUT /api/apps/shop-1": { status: 202, body: { ...app, commit: "c2" } },
    "GET /api/apps/shop-1/deploy-status": { body: ended("live") },
  });
  edit();
  fireEvent.click(await screen.findByRole("button", { name: "Type and deploy twice" }));
  await screen.findByText("Live.");
  const puts = sent.filter(({ method }) => method === "PUT");
  expect(puts.map(({ body }) => (body as typeof content).files)).toEqual([
    { "user_code.py": "app = 9\n" },
  ]);
});

it("a refused deploy lists its problems, keeps the draft and leads to the line", async () => {
  const found = {
    path: "user_code.py",
    line: 7,
    column: 1,
    end_line: 7,
    end_column: 2,
    severity: "error",
    code: "import_refused",
    message: "`os` is not available here.",
    hint: "Use something else.",
  };
  platform({ "PUT /api/apps/shop-1": refusal(422, "source_refused", { diagnostics: [found] }) });
  edit();
  await type("import os");
  fireEvent.click(screen.getByRole("button", { name: /^Deploy/ }));
  const problems = await screen.findByRole("list", { name: "Problems" });
  fireEvent.click(within(problems).getByRole("button", { name: /not available here/ }));
  expect(screen.getByLabelText("Code").dataset.line).toBe("7");
  expect(screen.getByText("Undeployed changes")).toBeTruthy();
});

it("a failed start names the learner's line, the last words and that the old one serves", async () => {
  const error = {
    stage: "starting",
    reason: "import_failed",
    message: "ZeroDivisionError: division by zero",
    hint: "Correct the line.",
    path: "user_code.py",
    line: 3,
  };
  const line = { at: "2026-01-01T00:00:00Z", pod: "p", text: "Traceback (most recent call last):" };
  platform({
    "POST /api/apps/validate": valid,
    "GET /api/apps/shop-1/deploy-status": { body: ended("failed", error) },
    "GET /api/apps/shop-1/logs": { body: { lines: [line] } },
  });
  edit();
  fireEvent.click(screen.getByRole("tab", { name: /Deploy/ }));
  expect((await screen.findByText(/keeps serving/)).textContent).toBe(
    "Failed at Starting. The version before keeps serving.",
  );
  expect(await screen.findByText(/Traceback/)).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "user_code.py, line 3" }));
  expect((await screen.findByLabelText("Code")).dataset.line).toBe("3");
});

it("a change underneath is shown, and deploying over it is a choice", async () => {
  const current = { ...content, commit: "c9", files: { "user_code.py": "theirs" } };
  const sent = platform({
    "POST /api/apps/validate": valid,
    "PUT /api/apps/shop-1": ({ body }) =>
      (body as { base_commit: string }).base_commit === "c9"
        ? { status: 202, body: { ...app, commit: "c10" } }
        : refusal(409, "stale_base", { current, yours: current }),
  });
  edit();
  await type("mine");
  fireEvent.click(screen.getByRole("button", { name: /^Deploy/ }));
  await screen.findByText("Differences");
  fireEvent.click(screen.getByRole("button", { name: "Decide later" }));
  expect(screen.getByText("This app changed since you began this draft.")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Compare" }));
  fireEvent.click(await screen.findByRole("button", { name: "Deploy my version" }));
  await waitFor(() => expect(screen.queryByText("Undeployed changes")).toBeNull());
  expect(sent.filter(({ method }) => method === "PUT")).toHaveLength(2);
});

it("the app's version can be taken instead", async () => {
  const current = { ...content, commit: "c9", files: { "user_code.py": "theirs" } };
  platform({
    "POST /api/apps/validate": valid,
    "PUT /api/apps/shop-1": refusal(409, "stale_base", { current, yours: current }),
  });
  edit();
  await type("mine");
  fireEvent.click(screen.getByRole("button", { name: /^Deploy/ }));
  fireEvent.click(await screen.findByRole("button", { name: "Take the app's version" }));
  expect(screen.getByLabelText<HTMLTextAreaElement>("Code").value).toBe("theirs");
  expect(screen.queryByText("Undeployed changes")).toBeNull();
});

it("a first deploy whose answer was lost is sent again, and then brought up to date", async () => {
  let posts = 0;
  const sent = platform({
    "POST /api/apps/validate": valid,
    "POST /api/apps": () => {
      posts += 1;
      return posts === 1 ? { status: 502 } : { status: 202, body: app };
    },
    "PUT /api/apps/shop-1": { status: 202, body: { ...app, commit: "c2" } },
  });
  show(<Editor {...me} kind="drafts" id="d2" workspace={open(content)} app={undefined} />);
  fireEvent.click(screen.getByRole("button", { name: /^Deploy/ }));
  await screen.findByRole("alert");
  await type("app = 3\n");
  fireEvent.click(screen.getByRole("button", { name: /^Deploy/ }));
  await waitFor(() => expect(window.location.pathname).toBe("/apps/shop-1"));
  const bodies = sent.filter(({ method, path }) => method !== "GET" && !path.includes("validate"));
  expect(bodies.map(({ method }) => method)).toEqual(["POST", "POST", "PUT"]);
  expect(bodies[1]?.body).toEqual(bodies[0]?.body);
  expect(bodies[2]?.body).toMatchObject({
    files: { "user_code.py": "app = 3\n" },
    base_commit: "c1",
  });
});

it("what another window made of the draft is not overwritten unasked", async () => {
  const key = { userId: "u1", kind: "apps", id: "shop-1" } as const;
  platform({ "POST /api/apps/validate": valid });
  edit();
  const theirs = open({ ...content, files: { "user_code.py": "theirs" } }, base);
  saveDraft(key, theirs, new Date());
  const name = "fastapi-platform.draft/u1/apps/shop-1";
  const newValue = localStorage.getItem(name);
  fireEvent(window, new StorageEvent("storage", { key: name, newValue }));
  await type("mine");
  fireEvent.click(await screen.findByRole("button", { name: "Take that one" }));
  expect(screen.getByLabelText<HTMLTextAreaElement>("Code").value).toBe("theirs");
});

const theirs = { ...content, commit: "c9", files: { "user_code.py": "theirs" } };
const moved = {
  "POST /api/apps/validate": valid,
  "GET /api/apps": { body: { apps: [{ ...app, commit: "c9" }] } },
  "GET /api/apps/shop-1": { body: { ...app, ...theirs } },
};

it("somebody with unsaved edits is told of a push, and keeps what they typed", async () => {
  const draft = {
    ...open(content, base),
    content: { ...content, files: { "user_code.py": "mine" } },
  };
  const sent = platform({
    ...moved,
    "PUT /api/apps/shop-1": { status: 202, body: { ...app, commit: "c10" } },
  });
  edit(draft);
  expect(await screen.findByText("This app changed since you began this draft.")).toBeTruthy();
  expect(screen.getByLabelText<HTMLTextAreaElement>("Code").value).toBe("mine");
  fireEvent.click(screen.getByRole("button", { name: "Compare" }));
  fireEvent.click(await screen.findByRole("button", { name: "Keep as my draft" }));
  expect(screen.queryByText("This app changed since you began this draft.")).toBeNull();
  expect(screen.getByLabelText<HTMLTextAreaElement>("Code").value).toBe("mine");
  expect(screen.getByText("Undeployed changes")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: /^Deploy/ }));
  await waitFor(() => expect(screen.queryByText("Undeployed changes")).toBeNull());
  expect(sent.find(({ method }) => method === "PUT")?.body).toMatchObject({
    files: { "user_code.py": "mine" },
    base_commit: "c9",
  });
});

it("an editor without edits follows the app by itself", async () => {
  platform(moved);
  edit();
  await waitFor(() =>
    expect(screen.getByLabelText<HTMLTextAreaElement>("Code").value).toBe("theirs"),
  );
  expect(screen.queryByText("Undeployed changes")).toBeNull();
});

it("a file can be taken from the app, and the rest kept", async () => {
  const files = { "user_code.py": "mine", "more.py": "mine too" };
  platform(moved);
  edit({ ...open(content, base), content: { ...content, files } });
  fireEvent.click(await screen.findByRole("button", { name: "Compare" }));
  fireEvent.change(await screen.findByLabelText("Files that differ"), {
    target: { value: "user_code.py" },
  });
  fireEvent.click(screen.getByRole("button", { name: "Take this file from the app" }));
  expect(screen.getByText("As the app has it")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Keep as my draft" }));
  expect(screen.getByLabelText<HTMLTextAreaElement>("Code").value).toBe("theirs");
  expect(screen.getByText("Undeployed changes")).toBeTruthy();
});
