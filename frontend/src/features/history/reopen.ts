import type { PastVersion } from "../../api/types";
import { type DraftKey, newDraftId, saveDraft } from "../drafts/drafts";
import { open } from "../editor/workspace";

/**
 * Keeps an earlier version as a draft and says where it can be edited; undefined when this browser
 * would not take it. `now` is the app as it stands, or nothing: then it becomes a new app's draft.
 */
export function reopen(
  userId: string,
  appId: string,
  then: PastVersion,
  now: PastVersion | undefined,
  name: string,
): string | undefined {
  const { entrypoint, files, env } = then;
  const content = { name, entrypoint, files, env };
  const key: DraftKey = now
    ? { userId, kind: "apps", id: appId }
    : { userId, kind: "drafts", id: newDraftId() };
  const base = now && {
    name: now.name,
    entrypoint: now.entrypoint,
    files: now.files,
    env: now.env,
    commit: now.commit,
  };
  const kept = saveDraft(key, open(content, base), new Date());
  return kept ? `/${key.kind}/${key.id}` : undefined;
}
