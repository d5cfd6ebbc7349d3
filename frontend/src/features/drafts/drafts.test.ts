// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { type Base, open, reduce, type Workspace } from "../editor/workspace";
import { draftedApps, draftIn, dropDraft, loadDraft, newDrafts, resume, saveDraft } from "./drafts";

const base: Base = {
  name: "Shop",
  entrypoint: "user_code.py",
  files: { "user_code.py": "app = 1\n" },
  env: {},
  commit: "c1",
};
const key = { userId: "u1", kind: "apps", id: "shop-1" } as const;
const noon = new Date("2026-01-01T12:00:00Z");

function edited(text: string): Workspace {
  return reduce(open(base, base), { type: "edit", path: "user_code.py", text });
}

function saved(workspace: Workspace) {
  saveDraft(key, workspace, noon);
  return loadDraft(key);
}

describe("a draft", () => {
  it("comes back after a reload as it was typed", () => {
    const back = resume(base, saved(edited("app = 2\n")));
    expect(back?.content.files["user_code.py"]).toBe("app = 2\n");
    expect(back?.basedOn).toBe("c1");
  });

  it("keeps the open files, and leaves out those that are gone", () => {
    let workspace = reduce(edited("x"), { type: "add", path: "items.py" });
    workspace = { ...workspace, tabs: ["gone.py", ...workspace.tabs] };
    const back = resume(base, saved(workspace));
    expect(back?.tabs).toEqual(["user_code.py", "items.py"]);
    expect(back?.active).toBe("items.py");
  });

  it("stands on the old commit when the app's files changed underneath", () => {
    const draft = saved(edited("mine"));
    const moved = { ...base, commit: "c2", files: { "user_code.py": "theirs" } };
    expect(resume(moved, draft)).toMatchObject({ basedOn: "c1", base: { commit: "c2" } });
  });

  it("follows a commit that changed nothing it is made of, such as a restart", () => {
    expect(resume({ ...base, commit: "c2" }, saved(edited("mine")))?.basedOn).toBe("c2");
  });

  it("of one person is nothing to another", () => {
    saveDraft(key, edited("x"), noon);
    expect(draftedApps("u1")).toEqual(new Set(["shop-1"]));
    expect(draftedApps("u2")).toEqual(new Set());
  });

  it("that another window keeps is noticed, and no other change of the storage", () => {
    saveDraft(key, edited("theirs"), noon);
    const name = "fastapi-platform.draft/u1/apps/shop-1";
    const newValue = localStorage.getItem(name);
    const event = (part: StorageEventInit) => draftIn(new StorageEvent("storage", part), key);
    expect(event({ key: name, newValue })?.content.files["user_code.py"]).toBe("theirs");
    expect(event({ key: name, newValue: null })).toBeUndefined();
    expect(event({ key: "theme", newValue })).toBeUndefined();
  });

  it("that was dropped is gone", () => {
    saveDraft(key, edited("x"), noon);
    dropDraft(key);
    expect(loadDraft(key)).toBeUndefined();
  });

  it("that is no draft of ours is ignored", () => {
    localStorage.setItem("fastapi-platform.draft/u1/apps/shop-1", '{"content": {"name": 7}}');
    expect(loadDraft(key)).toBeUndefined();
    localStorage.setItem("fastapi-platform.draft/u1/apps/shop-1", "{");
    expect(loadDraft(key)).toBeUndefined();
  });

  it("that does not fit into the browser's storage is reported", () => {
    vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
      throw new DOMException("full", "QuotaExceededError");
    });
    expect(saveDraft(key, edited("x"), noon)).toBe(false);
  });
});

it("new drafts are listed, the one touched last first", () => {
  const at = (id: string, time: string) =>
    saveDraft({ userId: "u1", kind: "drafts", id }, open(base), new Date(time));
  at("a", "2026-01-01T10:00:00Z");
  at("b", "2026-01-01T11:00:00Z");
  saveDraft(key, edited("x"), noon);
  expect(newDrafts("u1").map(({ id }) => id)).toEqual(["b", "a"]);
});
