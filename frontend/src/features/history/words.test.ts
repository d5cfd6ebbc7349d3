import { describe, expect, it } from "vitest";
import type { ChangedFile, HistoryEntry } from "../../api/types";
import { byDay, fileLabel, nameIn, totals, what } from "./words";

function changed(path: string, status: ChangedFile["status"] = "modified"): ChangedFile {
  return { path, status, added: 2, removed: 1 };
}

function told(action: string, paths: string[], more_changes = 0) {
  return { action, changes: paths.map((path) => changed(path)), more_changes };
}

describe("what a commit is, in words", () => {
  it.each([
    ["deploy", ["code/user_code.py"], "Deployed changes to user_code.py"],
    ["deploy", ["app.yaml", "code/a.py"], "Deployed changes to a.py and the settings"],
    [
      "deploy",
      ["code/a.py", "code/b.py", "app.yaml"],
      "Deployed changes to a.py, b.py and the settings",
    ],
    ["deploy", ["app.yaml"], "Deployed changes to the settings"],
    ["edit", ["overlay/kustomization.yaml"], "Changed the overlay"],
    ["merge", ["code/a.py"], "Merged changes to a.py"],
    ["deploy", ["secrets/TOKEN.sops.yaml"], "Deployed changes to the secret TOKEN"],
    ["deploy", [], "Deployed changes to nothing"],
    ["restart", ["app.yaml"], "Restarted the app"],
    ["rollback", ["code/a.py"], "Rolled back to an earlier version"],
    ["change-plan", ["app.yaml"], "Change plan"],
  ])("%s of %j: %s", (action, paths, words) => {
    expect(what(told(action, paths))).toBe(words);
  });

  it("names two of many files and counts the others, those not listed too", () => {
    const paths = ["code/a.py", "code/b.py", "code/c.py", "app.yaml"];
    expect(what(told("deploy", paths))).toBe("Deployed changes to a.py, b.py and 2 more files");
    expect(what(told("deploy", paths, 40))).toBe(
      "Deployed changes to a.py, b.py and 42 more files",
    );
    expect(what(told("deploy", paths.slice(0, 2), 1))).toBe(
      "Deployed changes to a.py, b.py and 1 more file",
    );
  });

  it("tells the first deploy, and what a person made or removed by hand", () => {
    const made = { action: "deploy", changes: [changed("app.yaml", "added")], more_changes: 0 };
    expect(what(made)).toBe("Created the app");
    const gone = { action: "edit", changes: [changed("app.yaml", "deleted")], more_changes: 0 };
    expect(what(gone)).toBe("Deleted the app");
  });
});

it("lines of what is no text are not counted, its file is", () => {
  const picture = { ...changed("code/a.png"), added: null, removed: null };
  expect(totals({ changes: [changed("code/a.py"), picture], more_changes: 3 })).toEqual({
    files: 5,
    added: 2,
    removed: 1,
  });
});

it.each([
  ["code/static/a.css", "static/a.css"],
  ["code/code/a.py", "code/a.py"],
  ["code/overlay/a.py", "overlay/a.py"],
  ["overlay/kustomization.yaml", "Overlay: kustomization.yaml"],
  ["app.yaml", "Settings (app.yaml)"],
  ["secrets/API_KEY.sops.yaml", "Secret API_KEY"],
  ["secrets/odd", "secrets/odd"],
  ["code/a\u202eyp.exe", "a\\u{202e}yp.exe"],
])("%j is shown as %s", (path, label) => expect(fileLabel(path)).toBe(label));

it.each([
  ["delete shop-1: My: shop", "My: shop"],
  ["delete shop-10: Other", undefined],
  ["Tidy up", undefined],
])("the name in %j is %s", (subject, name) => expect(nameIn(subject, "shop-1")).toBe(name));

describe("days", () => {
  const entry = (at: Date) => ({ at: at.toISOString() }) as HistoryEntry;
  const now = new Date(2026, 2, 10, 9, 30);

  it("are the reader's own, in the order of the entries", () => {
    const moments = [
      new Date(2026, 2, 10, 9),
      new Date(2026, 2, 10, 0, 0),
      new Date(2026, 2, 9, 23, 59),
      new Date(2026, 2, 9, 0, 0),
      new Date(2026, 2, 8, 23, 59),
    ];
    const days = byDay(moments.map(entry), now.getTime());
    expect(days.map(({ title, entries }) => [title, entries.length])).toEqual([
      ["Today", 2],
      ["Yesterday", 2],
      ["Sunday, March 8, 2026", 1],
    ]);
  });

  it("of nothing are none", () => expect(byDay([], now.getTime())).toEqual([]));
});
