import { useEffect, useState } from "react";
import { isAbort, toApiError } from "../../api/errors";
import { serverEvents } from "../../api/sse";
import type { LogLine } from "../../api/types";
import { pause } from "../deploy/follow";
import { append, isLogLine } from "./lines";

/** Lines that arrive together are shown together, so that a busy app does not freeze the page. */
const BATCH_MS = 100;
const AGAIN_MS = 2_000;

export interface Log {
  lines: readonly LogLine[];
  state: "connecting" | "live" | "broken";
  clear: () => void;
}

/** The app's output as it is written, for as long as somebody looks. */
export function useLog(appId: string | undefined): Log {
  const [lines, setLines] = useState<readonly LogLine[]>([]);
  const [state, setState] = useState<Log["state"]>("connecting");

  useEffect(() => {
    if (appId === undefined) return;
    const controller = new AbortController();
    const { signal } = controller;
    let batch: LogLine[] = [];
    const timer = setInterval(() => {
      if (batch.length === 0) return;
      const added = batch;
      batch = [];
      setLines((known) => append(known, added));
    }, BATCH_MS);

    async function read(): Promise<void> {
      const path = `/api/apps/${encodeURIComponent(appId ?? "")}/logs?follow=true`;
      while (!signal.aborted) {
        try {
          setState("live");
          for await (const { event, data } of serverEvents(path, signal)) {
            const line: unknown = event === "line" ? JSON.parse(data) : undefined;
            if (isLogLine(line)) batch.push(line);
          }
          // The server closes the stream when the process goes; the next one has its own.
        } catch (thrown) {
          if (isAbort(thrown) || signal.aborted) return;
          setState("broken");
          if (toApiError(thrown).status === 401) return;
        }
        await pause(AGAIN_MS, signal);
      }
    }
    void read();
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, [appId]);

  return { lines, state, clear: () => setLines([]) };
}
