import { useCallback, useEffect, useEffectEvent, useRef, useState } from "react";
import { type DraftKey, dropDraft, saveDraft } from "../drafts/drafts";
import { isDirty, type Workspace } from "./workspace";

const PAUSE_MS = 250;

export type DraftState = "none" | "saved" | "full";

/**
 * Keeps what is not deployed in this browser, a moment after each change and before the page goes.
 * `save` does it at once; "full" means that the browser would not take it.
 */
export function useDraft(
  key: DraftKey,
  workspace: Workspace,
): { state: DraftState; save: () => void } {
  const [state, setState] = useState<DraftState>(isDirty(workspace) ? "saved" : "none");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const { userId, kind, id } = key;

  const write = useEffectEvent(() => {
    clearTimeout(timer.current);
    timer.current = undefined;
    if (!isDirty(workspace)) {
      dropDraft(key);
      setState("none");
    } else {
      setState(saveDraft(key, workspace, new Date()) ? "saved" : "full");
    }
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of any of these is a change
  useEffect(() => {
    timer.current = setTimeout(() => write(), PAUSE_MS);
    return () => clearTimeout(timer.current);
  }, [workspace, userId, kind, id]);

  useEffect(() => {
    const flush = () => timer.current !== undefined && write();
    window.addEventListener("pagehide", flush);
    document.addEventListener("visibilitychange", flush);
    return () => {
      flush();
      window.removeEventListener("pagehide", flush);
      document.removeEventListener("visibilitychange", flush);
    };
  }, []);

  // Only a draft that could not be kept is worth holding a person back.
  useEffect(() => {
    if (state !== "full") return;
    const hold = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", hold);
    return () => window.removeEventListener("beforeunload", hold);
  }, [state]);

  const latest = useRef(workspace);
  useEffect(() => {
    latest.current = workspace;
  });
  const save = useCallback(() => {
    const kept = saveDraft({ userId, kind, id }, latest.current, new Date());
    setState(kept ? "saved" : "full");
  }, [userId, kind, id]);
  return { state, save };
}
