import { describe, expect, it } from "vitest";
import type { PastVersion } from "../../api/types";
import { filesChanged, filesReturning, notCompared, settingsChanged, summary } from "./compare";

function version(over: Partial<PastVersion>): PastVersion {
  return {
    commit: "c".repeat(40),
    parent: null,
    at: "2026-01-01T00:00:00Z",
    who: { name: "ada", kind: "editor" },
    action: "deploy",
    subject: "deploy shop-1: Shop",
    live: false,
    exists: true,
    name: "Shop",
    entrypoint: "user_code.py",
    env: {},
    files: {},
    overlay: {},
    omitted: [],
    changes: [],
    more_changes: 0,
    ...over,
  };
}

describe("what going back would change", () => {
  const now = version({
    name: "New name",
    entrypoint: "main.py",
    env: { A: "1", B: "2" },
    files: { "main.py": "x\n", "same.py": "s\n", "a.py": "new\n" },
    overlay: { "kustomization.yaml": "patches: [one]\n" },
  });
  const then = version({
    name: "Old name",
    env: { B: "3", C: "" },
    files: { "user_code.py": "y\n", "same.py": "s\n", "a.py": "old\n" },
    overlay: { "kustomization.yaml": "patches: []\n" },
  });

  it("is code and overlay, from now to then", () => {
    const told = filesReturning(now, then).map(({ path, status, before, after }) => [
      path,
      status,
      before,
      after,
    ]);
    expect(told).toEqual([
      ["code/a.py", "modified", "new\n", "old\n"],
      ["code/main.py", "deleted", "x\n", ""],
      ["code/user_code.py", "added", "", "y\n"],
      ["overlay/kustomization.yaml", "modified", "patches: [one]\n", "patches: []\n"],
    ]);
  });

  it("is entrypoint and variables, never the name", () => {
    expect(settingsChanged(now, then, false)).toEqual([
      { label: "Entrypoint", before: "main.py", after: "user_code.py" },
      { label: "Variable A", before: "1", after: undefined },
      { label: "Variable B", before: "2", after: "3" },
      { label: "Variable C", before: undefined, after: "" },
    ]);
    expect(settingsChanged(now, then, true)[0]?.label).toBe("Name");
  });

  it("is summed up in a sentence", () => {
    const files = filesReturning(now, then);
    expect(summary(files, settingsChanged(now, then, false))).toBe(
      "2 files change, 1 file comes back, 1 file goes away and 4 settings change.",
    );
    expect(summary(filesReturning(now, now), [])).toContain("Nothing changes");
  });

  it("does not take a file that is too large to be shown for one that is not there", () => {
    const large = version({ files: { "main.py": "x\n" }, omitted: ["code/big.json", "app.yaml"] });
    const small = version({ files: { "main.py": "x\n", "big.json": "{}" } });
    expect(filesReturning(large, small)).toEqual([]);
    expect(notCompared(large, small)).toEqual(["code/big.json"]);
  });
});

it("a commit's files are listed with the code first and secrets last", () => {
  const changes = [
    "app.yaml",
    "odd.txt",
    "secrets/K.sops.yaml",
    "overlay/p.yaml",
    "code/b.py",
    "code/a.py",
  ].map((path) => ({
    path,
    status: "modified" as const,
    added: 1,
    removed: 0,
    diff: "",
    old: "",
    new: "",
  }));
  expect(filesChanged(version({ changes })).map(({ path }) => path)).toEqual([
    "code/a.py",
    "code/b.py",
    "overlay/p.yaml",
    "app.yaml",
    "secrets/K.sops.yaml",
    "odd.txt",
  ]);
});
