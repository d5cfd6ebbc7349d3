import { useCallback, useEffect, useRef, useState } from "react";
import { type Draft, type DraftKey, draftIn, dropDraft, saveDraft } from "../drafts/drafts";
import { isDirty, type Workspace } from "./workspace";

const PAUSE_MS = 250;

export type DraftState = "none" | "saved" | "full";

export interface DraftControl {
  /** "full" means that the browser would not take it. */
  state: DraftState;
  /** Keeps the draft at once. */
  save: () => void;
  /** What another window made of this draft; nothing is kept from here until that is settled. */
  elsewhere: Draft | undefined;
  settle: () => void;
}

/** Keeps what is not deployed in this browser, a moment after each change and before the page goes. */
export function useDraft(
  { userId, kind, id }: DraftKey,
  workspace: Workspace,
  latest: () => Workspace,
): DraftControl {
  const [state, setState] = useState<DraftState>(isDirty(workspace) ? "saved" : "none");
  const [elsewhere, setElsewhere] = useState<Draft>();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const held = elsewhere !== undefined;

  const save = useCallback(() => {
    clearTimeout(timer.current);
    timer.current = undefined;
    const kept = saveDraft({ userId, kind, id }, latest(), new Date());
    setState(kept ? "saved" : "full");
  }, [userId, kind, id, latest]);

  const write = useCallback(() => {
    clearTimeout(timer.current);
    timer.current = undefined;
    if (held) return;
    if (isDirty(latest())) return save();
    dropDraft({ userId, kind, id });
    setState("none");
  }, [userId, kind, id, held, save, latest]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each change begins a new pause
  useEffect(() => {
    timer.current = setTimeout(write, PAUSE_MS);
    return () => clearTimeout(timer.current);
  }, [workspace, write]);

  // The editor stays while its draft becomes an app; the draft has then had its day. Dropped here,
  // after the last of its timers is cleared, so that none can bring it back.
  const former = useRef({ userId, kind, id });
  useEffect(() => {
    if (former.current.id !== id) dropDraft(former.current);
    former.current = { userId, kind, id };
  }, [userId, kind, id]);

  const newest = useRef(write);
  useEffect(() => {
    newest.current = write;
  }, [write]);
  useEffect(() => {
    const flush = () => {
      if (timer.current !== undefined) newest.current();
    };
    window.addEventListener("pagehide", flush);
    document.addEventListener("visibilitychange", flush);
    return () => {
      flush();
      window.removeEventListener("pagehide", flush);
      document.removeEventListener("visibilitychange", flush);
    };
  }, []);

  useEffect(() => {
    const listen = (event: StorageEvent) => {
      const draft = draftIn(event, { userId, kind, id });
      if (draft) setElsewhere(draft);
    };
    window.addEventListener("storage", listen);
    return () => window.removeEventListener("storage", listen);
  }, [userId, kind, id]);

  // Only a draft that could not be kept is worth holding a person back.
  useEffect(() => {
    if (state !== "full") return;
    const hold = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", hold);
    return () => window.removeEventListener("beforeunload", hold);
  }, [state]);

  return { state, save, elsewhere, settle: useCallback(() => setElsewhere(undefined), []) };
}
