import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useReducer, useRef } from "react";
import { answer, http } from "../../api/client";
import { type ApiError, isAbort, toApiError } from "../../api/errors";
import { follow, hasEnded } from "./follow";
import { NO_PROGRESS, type Progress, reduceProgress } from "./progress";
import { sourcesOf } from "./sources";

export interface ProgressControl {
  progress: Progress;
  begin(action: Progress["action"]): void;
  /** The platform took it; from here on its stages are followed. */
  accepted(appId: string): void;
  refused(error: ApiError | undefined): void;
}

/** Progress of an app's newest deploy; one that was under way before a reload is picked up again. */
export function useProgress(appId: string | undefined): ProgressControl {
  const [progress, dispatch] = useReducer(reduceProgress, NO_PROGRESS);
  const following = useRef<AbortController>(undefined);
  const followed = useRef<string>(undefined);
  const queries = useQueryClient();

  const accepted = useCallback(
    async (id: string) => {
      following.current?.abort();
      const controller = new AbortController();
      const { signal } = controller;
      following.current = controller;
      followed.current = id;
      dispatch({ type: "accepted" });
      try {
        for await (const update of follow(sourcesOf(id), signal)) {
          if (signal.aborted) return;
          dispatch(update);
        }
      } catch (thrown) {
        if (!signal.aborted) dispatch({ type: "lost", error: toApiError(thrown) });
      }
      void queries.invalidateQueries({ queryKey: ["status", id] });
    },
    [queries],
  );

  useEffect(() => {
    if (appId === undefined || followed.current === appId) return;
    followed.current = appId;
    const controller = new AbortController();
    const { signal } = controller;
    following.current = controller;
    const params = { path: { app_id: appId } };
    answer(http.GET("/api/apps/{app_id}/deploy-status", { params, signal })).then(
      (status) => {
        dispatch({ type: "status", status, via: "polling" });
        if (!hasEnded(status)) void accepted(appId);
      },
      // Without it the strip stays empty; the app's own state is shown by another query.
      (thrown) => isAbort(thrown) || dispatch({ type: "forget" }),
    );
  }, [appId, accepted]);

  useEffect(
    () => () => {
      following.current?.abort();
      followed.current = undefined;
    },
    [],
  );

  return {
    progress,
    begin: useCallback((action) => {
      following.current?.abort();
      dispatch({ type: "sent", action });
    }, []),
    accepted,
    refused: useCallback((error) => dispatch({ type: "refused", error }), []),
  };
}
