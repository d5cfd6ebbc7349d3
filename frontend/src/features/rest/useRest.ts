import { useMutation, useQueryClient } from "@tanstack/react-query";
import { answer, http } from "../../api/client";
import { type ApiError, toApiError } from "../../api/errors";
import type { Deploy } from "../../api/types";
import { toast } from "../../ui/toasts";

type Act = "wake" | "restore" | "pin" | "unpin";

const SAID: Record<Act, (name: string) => string> = {
  wake: (name) => `${name} is waking up.`,
  restore: (name) => `${name} is coming back.`,
  pin: (name) => `${name} stays, whether it is used or not.`,
  unpin: (name) => `${name} may fall asleep when nobody uses it.`,
};

function send(act: Act, appId: string): Promise<Deploy> {
  const params = { path: { app_id: appId } };
  switch (act) {
    case "wake":
      return answer(http.POST("/api/apps/{app_id}/wake", { params }));
    case "restore":
      return answer(http.POST("/api/apps/{app_id}/restore", { params }));
    case "pin":
      return answer(http.POST("/api/apps/{app_id}/pin", { params }));
    case "unpin":
      return answer(http.DELETE("/api/apps/{app_id}/pin", { params }));
  }
}

export interface Rest {
  act: (act: Act) => void;
  busy: Act | undefined;
  error: ApiError | undefined;
}

/** Wakes, restores and pins one app; what came of it is said in passing, a refusal stays. */
export function useRest(appId: string, name: string, onDone?: (deploy: Deploy) => void): Rest {
  const queries = useQueryClient();
  const { mutate, isPending, variables, error } = useMutation({
    mutationFn: (act: Act) => send(act, appId),
    onSuccess: (deploy, act) => {
      toast(SAID[act](name));
      for (const key of [["apps"], ["removed-apps"], ["status", appId], ["history", appId]])
        void queries.invalidateQueries({ queryKey: key });
      onDone?.(deploy);
    },
  });
  return {
    act: mutate,
    busy: isPending ? variables : undefined,
    error: error ? toApiError(error) : undefined,
  };
}
