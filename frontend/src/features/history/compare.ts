import type { FileDiff, PastVersion } from "../../api/types";
import { differences } from "../editor/workspace";

/** A changed file to look at; its texts are null where there is nothing to show. */
export interface ShownFile {
  path: string;
  status: FileDiff["status"];
  added: number | null;
  removed: number | null;
  before: string | null;
  after: string | null;
}

export interface SettingChange {
  label: string;
  before: string | undefined;
  after: string | undefined;
}

/** What a commit changed, code first. */
export function filesChanged(version: PastVersion): ShownFile[] {
  return version.changes
    .map(({ path, status, added, removed, old, new: now }) => ({
      path,
      status,
      added,
      removed,
      before: old,
      after: now,
    }))
    .sort(inOrder);
}

function inOrder(a: ShownFile, b: ShownFile): number {
  return rank(a.path) - rank(b.path) || a.path.localeCompare(b.path);
}

const ORDER = ["code", "overlay", "app.yaml", "secrets"];

function rank(path: string): number {
  const at = ORDER.indexOf(path.split("/", 1)[0] ?? "");
  return at < 0 ? ORDER.length : at;
}

/** What going back would change: of code and overlay, as rollback leaves the rest alone. */
export function filesReturning(now: PastVersion, then: PastVersion): ShownFile[] {
  const found: ShownFile[] = differences(side(now), side(then)).map(({ path, before, after }) => ({
    path,
    status: before === undefined ? "added" : after === undefined ? "deleted" : "modified",
    added: null,
    removed: null,
    before: before ?? "",
    after: after ?? "",
  }));
  const unseen = new Set(notCompared(now, then));
  const seen = found.filter(({ path }) => !unseen.has(path));
  return seen.sort(inOrder);
}

/** Files too large to be shown at either side: whether they differ is not known here. */
export function notCompared(now: PastVersion, then: PastVersion): string[] {
  return [...new Set([...now.omitted, ...then.omitted])]
    .filter((path) => /^(?:code|overlay)\//.test(path))
    .sort((a, b) => a.localeCompare(b));
}

function side({ name, entrypoint, env, files, overlay }: PastVersion) {
  const below = (folder: string, texts: Record<string, string>) =>
    Object.fromEntries(Object.entries(texts).map(([path, text]) => [`${folder}/${path}`, text]));
  return {
    name,
    entrypoint,
    env,
    files: { ...below("code", files), ...below("overlay", overlay) },
  };
}

type Settings = Pick<PastVersion, "name" | "entrypoint" | "env">;

/** Name, entrypoint and variables that differ, in words; the name only where it can change. */
export function settingsChanged(
  before: Settings,
  after: Settings,
  named: boolean,
): SettingChange[] {
  const found: SettingChange[] = [
    ...(named ? [{ label: "Name", before: before.name, after: after.name }] : []),
    { label: "Entrypoint", before: before.entrypoint, after: after.entrypoint },
  ];
  const names = new Set([...Object.keys(before.env), ...Object.keys(after.env)]);
  for (const name of [...names].sort((a, b) => a.localeCompare(b))) {
    found.push({ label: `Variable ${name}`, before: before.env[name], after: after.env[name] });
  }
  return found.filter((change) => change.before !== change.after);
}

/** "2 files change, 1 is added and 1 setting changes." */
export function summary(files: readonly ShownFile[], settings: readonly SettingChange[]): string {
  const count = (status: ShownFile["status"]) =>
    files.filter((file) => file.status === status).length;
  const parts = [
    said(count("modified"), "file changes", "files change"),
    said(count("added"), "file comes back", "files come back"),
    said(count("deleted"), "file goes away", "files go away"),
    said(settings.length, "setting changes", "settings change"),
  ].filter((part) => part !== "");
  const last = parts.pop();
  if (last === undefined) return "Nothing changes: this version equals the newest one.";
  return `${parts.length > 0 ? `${parts.join(", ")} and ${last}` : last}.`;
}

function said(count: number, one: string, many: string): string {
  return count === 0 ? "" : `${count} ${count === 1 ? one : many}`;
}
