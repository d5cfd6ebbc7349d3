import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answer, http } from "../../api/client";
import type { PastVersion } from "../../api/types";

function page(appId: string, query: { before?: string; limit?: number }, signal: AbortSignal) {
  const params = { path: { app_id: appId }, query };
  return answer(http.GET("/api/apps/{app_id}/history", { params, signal }));
}

function version(appId: string, commit: string, signal: AbortSignal): Promise<PastVersion> {
  const params = { path: { app_id: appId, commit } };
  return answer(http.GET("/api/apps/{app_id}/history/{commit}", { params, signal }));
}

/** Everything that is asked about an app's past; what a deploy makes stale. */
export const historyKey = (appId: string) => ["history", appId];

export const historyQuery = (appId: string) =>
  infiniteQueryOptions({
    queryKey: [...historyKey(appId), "pages"],
    queryFn: ({ pageParam, signal }) => page(appId, { before: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ next }) => next ?? undefined,
  });

export const versionQuery = (appId: string, commit: string) =>
  queryOptions({
    queryKey: [...historyKey(appId), "version", commit],
    queryFn: ({ signal }) => version(appId, commit, signal),
  });

/** The app as it was before a commit, or as it is now; null where there was nothing before. */
export const versionBeforeQuery = (appId: string, before?: string) =>
  queryOptions({
    queryKey: [...historyKey(appId), "before", before ?? "now"],
    queryFn: async ({ signal }) => {
      const { entries } = await page(appId, { before, limit: 1 }, signal);
      return entries[0] ? version(appId, entries[0].commit, signal) : null;
    },
  });
