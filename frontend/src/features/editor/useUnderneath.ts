import { useEffect, useEffectEvent } from "react";
import { answer, http } from "../../api/client";
import { toast } from "../../ui/toasts";
import { type Action, isDirty, sameContent, type Workspace } from "./workspace";

interface Options {
  appId: string | undefined;
  /** The newest commit of the app, as the list of apps last had it. */
  seen: string | undefined;
  /** While a deploy of this window is on its way, what moves is our own. */
  sending: boolean;
  latest: () => Workspace;
  dispatch: (action: Action) => void;
}

/**
 * Notices that the app changed on the platform while it is open here (another window, a push, a
 * merged pull request, a rollback), and lays the new version under what is edited. Nothing that was
 * typed is touched: a draft that stands on an older version is told so by the notices.
 */
export function useUnderneath({ appId, seen, sending, latest, dispatch }: Options): void {
  const look = useEffectEvent(async (id: string, signal: AbortSignal) => {
    const before = latest().base?.commit;
    const params = { path: { app_id: id } };
    const app = await answer(http.GET("/api/apps/{app_id}", { params, signal }));
    const workspace = latest();
    // A deploy from here was answered in the meantime: what was read may be older than it.
    if (signal.aborted || workspace.base?.commit !== before || app.commit === before) return;
    const { name, entrypoint, files, env, commit } = app;
    const base = { name, entrypoint, files, env, commit };
    const follows = !isDirty(workspace) && !sameContent(base, workspace.content);
    dispatch({ type: "underneath", base });
    if (follows) toast("The app was changed elsewhere; this is its newest version.");
  });
  useEffect(() => {
    if (appId === undefined || seen === undefined || sending) return;
    if (seen === latest().base?.commit) return;
    const controller = new AbortController();
    // Not told when it fails: a deploy is held against its base, and answers with both versions.
    look(appId, controller.signal).catch(() => undefined);
    return () => controller.abort();
  }, [appId, seen, sending, latest]);
}
