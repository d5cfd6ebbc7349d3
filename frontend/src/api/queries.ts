import { QueryClient, queryOptions } from "@tanstack/react-query";
import { answer, http } from "./client";
import { ApiError } from "./errors";

/** Faults that pass by themselves are tried again; a refusal is an answer. */
function worthRetrying(failures: number, error: unknown): boolean {
  const passing = error instanceof ApiError && (error.status === 0 || error.status >= 500);
  return passing && failures < 2;
}

export const queries = new QueryClient({
  defaultOptions: { queries: { retry: worthRetrying, staleTime: 5_000 } },
});

export const metaQuery = queryOptions({
  queryKey: ["meta"],
  queryFn: ({ signal }) => answer(http.GET("/api/meta", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => answer(http.GET("/api/auth/me", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

export const packagesQuery = queryOptions({
  queryKey: ["packages"],
  queryFn: ({ signal }) => answer(http.GET("/api/packages", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

export const appsQuery = queryOptions({
  queryKey: ["apps"],
  queryFn: ({ signal }) => answer(http.GET("/api/apps", { signal })),
  refetchInterval: 5_000,
});

export const removedAppsQuery = queryOptions({
  queryKey: ["removed-apps"],
  queryFn: ({ signal }) => answer(http.GET("/api/removed-apps", { signal })),
  refetchInterval: 30_000,
});

export const statusQuery = (appId: string) =>
  queryOptions({
    queryKey: ["status", appId],
    queryFn: ({ signal }) =>
      answer(
        http.GET("/api/apps/{app_id}/status", { params: { path: { app_id: appId } }, signal }),
      ),
    refetchInterval: 5_000,
  });
