import { useQuery } from "@tanstack/react-query";
import { answer, http } from "../../api/client";
import type { LogLine } from "../../api/types";

const SHOWN = 20;

/** The last words of the process that failed to start, once a deploy has failed. */
export function useLastLines(
  appId: string | undefined,
  failedCommit: string | undefined,
): LogLine[] | undefined {
  const { data } = useQuery({
    queryKey: ["last-lines", appId, failedCommit],
    enabled: appId !== undefined && failedCommit !== undefined,
    queryFn: async ({ signal }) => {
      const params = { path: { app_id: appId ?? "" }, query: { previous: true } };
      const { lines } = await answer(http.GET("/api/apps/{app_id}/logs", { params, signal }));
      return lines.slice(-SHOWN);
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data;
}
