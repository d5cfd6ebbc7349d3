import { useEffect, useRef } from "react";
import { answer, http } from "../../api/client";

/** Minutes are what the platform counts in; an editor that is only open is no use of an app. */
const PAUSE = 60_000;

/** Tells the platform that somebody works on the app: at its first change, then once a minute. */
export function useActivity(appId: string | undefined, content: unknown): void {
  const seen = useRef(content);
  const told = useRef(Number.NEGATIVE_INFINITY);
  const waiting = useRef<ReturnType<typeof setTimeout>>(undefined);

  useEffect(() => {
    if (appId === undefined || seen.current === content || waiting.current !== undefined) return;
    seen.current = content;
    const left = Math.max(0, told.current + PAUSE - Date.now());
    waiting.current = setTimeout(() => {
      waiting.current = undefined;
      told.current = Date.now();
      // Nobody waits for the answer, and a lost one is made up for by the next.
      const path = { app_id: appId };
      answer(http.POST("/api/apps/{app_id}/activity", { params: { path } })).catch(() => undefined);
    }, left);
  }, [appId, content]);

  useEffect(
    () => () => {
      clearTimeout(waiting.current);
      waiting.current = undefined;
    },
    [],
  );
}
