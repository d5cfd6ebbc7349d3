import type { ChangedFile, HistoryEntry, Who } from "../../api/types";
import { visible } from "../../ui/visible";

/** What a commit is, in words for people who never used git. */

const WAYS: Record<Who["kind"], string> = {
  editor: "in the editor",
  pull_request: "by pull request",
  by_hand: "by a git push",
  cleanup: "by the cleanup",
  visitor: "by opening its address",
  administrator: "as an administrator",
};

export function way(who: Who): string {
  return WAYS[who.kind];
}

const ACTS: Record<string, string> = {
  rollback: "Rolled back to an earlier version",
  restore: "Restored the app",
  restart: "Restarted the app",
  delete: "Deleted the app",
  "delete-account": "Deleted the account and its apps",
  hibernate: "Put the app to sleep",
  wake: "Woke the app up",
  cleanup: "Removed the app, for nobody used it",
  pin: "Pinned the app",
  unpin: "Unpinned the app",
};

type Told = Pick<HistoryEntry, "action" | "changes" | "more_changes">;

/** "Deployed changes to user_code.py and the settings". */
export function what(entry: Told): string {
  const { action, changes } = entry;
  const known = ACTS[action];
  if (known) return known;
  const status = changes.find(({ path }) => path === "app.yaml")?.status;
  if (status === "added") return "Created the app";
  if (status === "deleted") return "Deleted the app";
  const verb = { deploy: "Deployed changes to", edit: "Changed", merge: "Merged changes to" }[
    action
  ];
  if (verb) return `${verb} ${things(entry)}`;
  return visible(`${action.charAt(0).toUpperCase()}${action.slice(1)}`.replaceAll("-", " "));
}

const NAMED = 2;

function things({ changes, more_changes }: Told): string {
  // Code before the rest: it is what people look for.
  const files = changes.filter(({ path }) => path.startsWith("code/"));
  const others = changes.filter(({ path }) => !path.startsWith("code/"));
  const all = [...files, ...others].map(({ path }) => thing(path));
  const count = all.length + more_changes;
  if (count === 0) return "nothing";
  // One left over is as short named as counted.
  const named = count === NAMED + 1 && all.length === count ? count : NAMED;
  const shown = all.slice(0, named);
  const more = count - shown.length;
  if (more > 0) shown.push(`${more} more ${more === 1 ? "file" : "files"}`);
  const last = shown.pop() ?? "";
  return shown.length > 0 ? `${shown.join(", ")} and ${last}` : last;
}

function thing(path: string): string {
  if (path === "app.yaml") return "the settings";
  if (path.startsWith("overlay/")) return "the overlay";
  const secret = secretName(path);
  return secret === undefined ? fileLabel(path) : `the secret ${secret}`;
}

function secretName(path: string): string | undefined {
  const name = /^secrets\/(.+)\.sops\.yaml$/.exec(path)?.[1];
  return name === undefined ? undefined : visible(name);
}

/** A file of the app's folder as its owner knows it: the code's paths as in the editor. */
export function fileLabel(path: string): string {
  if (path === "app.yaml") return "Settings (app.yaml)";
  if (path.startsWith("overlay/")) return `Overlay: ${visible(path.slice("overlay/".length))}`;
  const secret = secretName(path);
  return secret === undefined ? visible(path.replace(/^code\//, "")) : `Secret ${secret}`;
}

export interface Totals {
  files: number;
  added: number;
  removed: number;
}

/** Files and lines; files that are not compared by lines count as files only. */
export function totals({ changes, more_changes }: Omit<Told, "action">): Totals {
  const sum = (side: "added" | "removed") =>
    changes.reduce((total: number, file: ChangedFile) => total + (file[side] ?? 0), 0);
  return {
    files: changes.length + more_changes,
    added: sum("added"),
    removed: sum("removed"),
  };
}

/** The app's name in the platform's own subjects, `delete shop-1: Shop`: all that is left of it. */
export function nameIn(subject: string, appId: string): string | undefined {
  const [, id, name] = /^[a-z-]+ ([a-z0-9-]+): (.+)$/.exec(subject) ?? [];
  return id === appId ? name : undefined;
}

export interface Day {
  title: string;
  entries: HistoryEntry[];
}

/** Newest first as they come, parted by the reader's own days. */
export function byDay(entries: readonly HistoryEntry[], now: number): Day[] {
  const days: Day[] = [];
  for (const entry of entries) {
    const title = dayOf(Date.parse(entry.at), now);
    const last = days.at(-1);
    if (last?.title === title) last.entries.push(entry);
    else days.push({ title, entries: [entry] });
  }
  return days;
}

function dayOf(moment: number, now: number): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  // A day before midnight, whatever the clocks did that night.
  const yesterday = new Date(midnight - 1).setHours(0, 0, 0, 0);
  if (moment >= midnight) return "Today";
  if (moment >= yesterday) return "Yesterday";
  return new Date(moment).toLocaleDateString("en", { dateStyle: "full" });
}
