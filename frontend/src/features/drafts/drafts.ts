import {
  type Base,
  type Content,
  contentOf,
  open,
  sameContent,
  type Workspace,
} from "../editor/workspace";

/**
 * Drafts live in this browser only: what was typed and not deployed, per person. A draft of an app
 * carries what it was begun from, so that a later look can tell what changed underneath.
 */
export interface Draft {
  content: Content;
  base: Base | undefined;
  tabs: readonly string[];
  active: string | undefined;
  savedAt: string;
}

export interface DraftKey {
  userId: string;
  kind: "apps" | "drafts";
  id: string;
}

const PREFIX = "fastapi-platform.draft";

function storageKey({ userId, kind, id }: DraftKey): string {
  return `${PREFIX}/${userId}/${kind}/${id}`;
}

function isDraft(value: unknown): value is Draft {
  const content = (value as Draft | null)?.content;
  return (
    typeof content === "object" &&
    typeof content?.name === "string" &&
    typeof content.entrypoint === "string" &&
    typeof content.files === "object" &&
    typeof content.env === "object"
  );
}

export function loadDraft(key: DraftKey): Draft | undefined {
  try {
    return parsed(localStorage.getItem(storageKey(key)));
  } catch {
    return undefined; // storage is blocked
  }
}

/** The draft that another window has just kept under this key, if that is what happened. */
export function draftIn(event: StorageEvent, key: DraftKey): Draft | undefined {
  return event.key === storageKey(key) ? parsed(event.newValue) : undefined;
}

function parsed(text: string | null): Draft | undefined {
  try {
    const draft: unknown = JSON.parse(text ?? "null");
    return isDraft(draft) ? draft : undefined;
  } catch {
    return undefined; // a text that is no draft of ours
  }
}

/** Whether it could be kept: storage may be full or blocked, and then the person is told. */
export function saveDraft(key: DraftKey, workspace: Workspace, now: Date): boolean {
  const { content, base, basedOn, tabs, active } = workspace;
  const draft: Draft = {
    content,
    base: base && basedOn ? { ...base, commit: basedOn } : undefined,
    tabs,
    active,
    savedAt: now.toISOString(),
  };
  try {
    localStorage.setItem(storageKey(key), JSON.stringify(draft));
    return true;
  } catch {
    return false;
  }
}

export function dropDraft(key: DraftKey): void {
  try {
    localStorage.removeItem(storageKey(key));
  } catch {
    // Storage is blocked: there is no draft either.
  }
}

/** Drafts of apps that were never deployed, newest first. */
export function newDrafts(userId: string): { id: string; draft: Draft }[] {
  const prefix = storageKey({ userId, kind: "drafts", id: "" });
  return storedKeys()
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length))
    .flatMap((id) => {
      const draft = loadDraft({ userId, kind: "drafts", id });
      return draft ? [{ id, draft }] : [];
    })
    .sort((a, b) => b.draft.savedAt.localeCompare(a.draft.savedAt));
}

/** Ids of deployed apps with changes that only this browser has. */
export function draftedApps(userId: string): ReadonlySet<string> {
  const prefix = storageKey({ userId, kind: "apps", id: "" });
  return new Set(
    storedKeys()
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length)),
  );
}

function storedKeys(): string[] {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

/** A local id, which becomes the key that makes sending a first deploy twice harmless. */
export function newDraftId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

/**
 * The workspace to go on with: the deployed version, with the draft laid over it. When only the
 * commit moved and not the content (a restart), the draft stands on the new commit.
 */
export function resume(base: Base | undefined, draft: Draft | undefined): Workspace | undefined {
  if (!draft) return base ? open(contentOf(base), base) : undefined;
  const basis = draft.base;
  const unmoved = !base || !basis || sameContent(base, basis);
  const tabs = draft.tabs.filter((tab) => draft.content.files[tab] !== undefined);
  const workspace = open(draft.content, base);
  return {
    ...workspace,
    basedOn: unmoved ? base?.commit : basis.commit,
    ...(tabs.length > 0
      ? { tabs, active: tabs.includes(draft.active ?? "") ? draft.active : tabs[0] }
      : {}),
  };
}
