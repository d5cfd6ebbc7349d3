import { answer, http } from "../../api/client";
import { ApiError } from "../../api/errors";
import { serverEvents } from "../../api/sse";
import type { DeployStatus } from "../../api/types";
import { pause, type Sources } from "./follow";

function isDeployStatus(value: unknown): value is DeployStatus {
  const status = value as Partial<DeployStatus> | null;
  return typeof status?.stage === "string" && Array.isArray(status.stages);
}

/** Where the progress of one app really comes from. */
export function sourcesOf(appId: string): Sources {
  return {
    async *stream(signal) {
      const path = `/api/apps/${encodeURIComponent(appId)}/events`;
      for await (const { event, data } of serverEvents(path, signal)) {
        if (event !== "status") continue;
        const status: unknown = JSON.parse(data);
        if (!isDeployStatus(status)) {
          throw new ApiError(200, "unexpected_answer", "The progress could not be read.", "");
        }
        yield status;
      }
    },
    poll: (signal) =>
      answer(
        http.GET("/api/apps/{app_id}/deploy-status", {
          params: { path: { app_id: appId } },
          signal,
        }),
      ),
    wait: pause,
  };
}
