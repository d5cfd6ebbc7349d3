import { describe, expect, it } from "vitest";
import {
  type Base,
  changedPaths,
  differences,
  isDirty,
  isStale,
  open,
  reduce,
  type Workspace,
} from "./workspace";

const base: Base = {
  name: "Shop",
  entrypoint: "user_code.py",
  files: { "user_code.py": "one", "items.py": "two" },
  env: { GREETING: "hi" },
  commit: "c1",
};
const start = open(base, base);

function reached(...actions: Parameters<typeof reduce>[1][]): Workspace {
  return actions.reduce(reduce, start);
}

describe("a workspace", () => {
  it("opens the entrypoint, or the first file when there is none", () => {
    expect(start.active).toBe("user_code.py");
    expect(open({ ...base, entrypoint: "gone.py" }).active).toBe("user_code.py");
  });

  it("is changed by typing, and unchanged by typing it back", () => {
    const typed = reached({ type: "edit", path: "items.py", text: "three" });
    expect(isDirty(typed)).toBe(true);
    expect(changedPaths(typed)).toEqual(new Set(["items.py"]));
    expect(isDirty(reduce(typed, { type: "edit", path: "items.py", text: "two" }))).toBe(false);
  });

  it("is changed by a variable, a name, an entrypoint, a deleted file", () => {
    const settings = { type: "settings", name: "Shop", entrypoint: "user_code.py" } as const;
    expect(isDirty(reached({ ...settings, env: {} }))).toBe(true);
    expect(isDirty(reached({ ...settings, name: "Store", env: base.env }))).toBe(true);
    expect(isDirty(reached({ type: "entrypoint", path: "items.py" }))).toBe(true);
    expect(isDirty(reached({ type: "delete", path: "items.py" }))).toBe(true);
    expect(isDirty(reached({ ...settings, env: base.env }))).toBe(false);
  });

  it("keeps text, tab and entrypoint through a rename", () => {
    const renamed = reached({ type: "rename", from: "user_code.py", to: "main.py" });
    expect(renamed.content.files["main.py"]).toBe("one");
    expect(renamed.content.files["user_code.py"]).toBeUndefined();
    expect(renamed.content.entrypoint).toBe("main.py");
    expect(renamed).toMatchObject({ tabs: ["main.py"], active: "main.py" });
  });

  it("shows the neighbour when a tab is closed or its file deleted", () => {
    const two = reached({ type: "open", path: "items.py" });
    expect(reduce(two, { type: "close", path: "items.py" }).active).toBe("user_code.py");
    expect(reduce(two, { type: "delete", path: "items.py" })).toMatchObject({
      tabs: ["user_code.py"],
      active: "user_code.py",
    });
    expect(reduce(start, { type: "close", path: "user_code.py" }).active).toBeUndefined();
  });

  it("ignores edits of files that are not there any more", () => {
    expect(reached({ type: "edit", path: "gone.py", text: "x" })).toBe(start);
    expect(reached({ type: "open", path: "gone.py" })).toBe(start);
  });

  it("is clean after a deploy, but keeps what was typed meanwhile as a draft", () => {
    const typed = reached({ type: "edit", path: "items.py", text: "three" });
    const deployed = { ...typed.content, commit: "c2" };
    expect(isDirty(reduce(typed, { type: "deployed", base: deployed }))).toBe(false);
    const more = reduce(typed, { type: "edit", path: "items.py", text: "four" });
    const landed = reduce(more, { type: "deployed", base: deployed });
    expect(isDirty(landed)).toBe(true);
    expect(landed.basedOn).toBe("c2");
  });

  it("is stale once the app moved on, and fresh again when that was taken or discarded", () => {
    const theirs = { ...base, commit: "c2", files: { "user_code.py": "theirs" } };
    const stale = reduce(reached({ type: "open", path: "items.py" }), {
      type: "rebase",
      base: theirs,
    });
    expect(isStale(stale)).toBe(true);
    const taken = reduce(stale, { type: "discard" });
    expect(isStale(taken)).toBe(false);
    expect(taken).toMatchObject({ content: { files: theirs.files }, tabs: ["user_code.py"] });
  });

  it("moves along with a restart, which changes no content", () => {
    const moved = reached({ type: "moved", commit: "c2" });
    expect(isStale(moved)).toBe(false);
    expect(moved.basedOn).toBe("c2");
  });
});

it("differences name files that changed, came and went, in order", () => {
  const mine = { ...base, files: { "user_code.py": "1", "new.py": "" } };
  expect(differences(base, mine)).toEqual([
    { path: "items.py", before: "two", after: undefined },
    { path: "new.py", before: undefined, after: "" },
    { path: "user_code.py", before: "one", after: "1" },
  ]);
});
