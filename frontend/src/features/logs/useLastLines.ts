import { useQuery } from "@tanstack/react-query";
import { answer, http } from "../../api/client";
import type { LogLine } from "../../api/types";
import { lastWords } from "./lines";

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
      const ask = (previous: boolean) => {
        const params = { path: { app_id: appId ?? "" }, query: { previous } };
        return answer(http.GET("/api/apps/{app_id}/logs", { params, signal }));
      };
      const words = lastWords((await ask(false)).lines, SHOWN);
      // A process that was started again and is still silent: its forerunner said why.
      return words.length > 0 ? words : lastWords((await ask(true)).lines, SHOWN);
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data;
}
