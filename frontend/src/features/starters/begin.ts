import { newDraftId, saveDraft } from "../drafts/drafts";
import { open } from "../editor/workspace";
import type { Starter } from "./starters";

/** Begins a draft from a starter; the address of its editor. */
export function beginDraft(userId: string, starter: Starter, name: string): string | undefined {
  const id = newDraftId();
  const { entrypoint, files } = starter;
  const workspace = open({ name, entrypoint, files, env: {} });
  const kept = saveDraft({ userId, kind: "drafts", id }, workspace, new Date());
  return kept ? `/drafts/${id}` : undefined;
}

export const NOT_KEPT =
  "This browser's storage is full or blocked, so a draft cannot be kept. Allow storage for this page, or discard other drafts.";
