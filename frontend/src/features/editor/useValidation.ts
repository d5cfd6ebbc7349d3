import { useEffect, useState } from "react";
import { answer, http } from "../../api/client";
import { isAbort } from "../../api/errors";
import type { Diagnostic } from "../../api/types";
import type { Content } from "./workspace";

const PAUSE_MS = 400;

export interface Checked {
  diagnostics: readonly Diagnostic[];
  state: "checking" | "checked" | "unavailable";
}

/** What the source check says of the files, a moment after the last keystroke. */
export function useValidation({ files, entrypoint }: Content): {
  checked: Checked;
  show: (diagnostics: readonly Diagnostic[]) => void;
} {
  const [checked, setChecked] = useState<Checked>({ diagnostics: [], state: "checking" });

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const timer = setTimeout(async () => {
      setChecked(({ diagnostics }) => ({ diagnostics, state: "checking" }));
      try {
        const body = { files, entrypoint };
        const { diagnostics } = await answer(http.POST("/api/apps/validate", { body, signal }));
        if (!signal.aborted) setChecked({ diagnostics, state: "checked" });
      } catch (thrown) {
        // Deploy checks again, so typing goes on without; the panel says that it is so.
        if (!isAbort(thrown) && !signal.aborted) {
          setChecked(({ diagnostics }) => ({ diagnostics, state: "unavailable" }));
        }
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [files, entrypoint]);

  return { checked, show: (diagnostics) => setChecked({ diagnostics, state: "checked" }) };
}
