import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation } from "wouter";
import { toApiError } from "../../api/errors";
import { appsQuery, metaQuery } from "../../api/queries";
import type { Deploy } from "../../api/types";
import { PageLoading } from "../../app/PageLoading";
import { ErrorNotice } from "../../ui/Notice";
import { useNow } from "../../ui/useNow";
import { DeployPanel } from "../deploy/DeployPanel";
import { useProgress } from "../deploy/useProgress";
import { useLastLines } from "../logs/useLastLines";
import { RestNotice } from "../rest/RestNotice";
import { HistoryList } from "./HistoryList";
import styles from "./history.module.css";
import { historyKey, historyQuery } from "./queries";
import { RestoreNotice } from "./RestoreNotice";
import { Unavailable } from "./Unavailable";
import { VersionPage } from "./VersionPage";
import { nameIn } from "./words";

/** The past of one app: all of it, or one commit by its address. */
export default function HistoryPage({
  appId,
  commit,
}: {
  appId: string;
  commit: string | undefined;
}) {
  const history = useInfiniteQuery(historyQuery(appId));
  const apps = useQuery({ ...appsQuery, refetchInterval: false });
  const { data: meta } = useQuery(metaQuery);
  const now = useNow();
  const { strip, watch } = useStrip(appId);
  const [, navigate] = useLocation();

  const pages = history.data?.pages;
  if (!pages) {
    if (history.error) return <Unavailable error={toApiError(history.error)} />;
    return <PageLoading />;
  }
  const entries = pages.flatMap((page) => page.entries);
  const newest = entries[0];
  const deleted = pages[0]?.deleted ?? false;
  const app = apps.data?.apps.find(({ app_id }) => app_id === appId);
  const name = app?.name ?? nameIn(newest?.subject ?? "", appId) ?? appId;

  function taken(deploy: Deploy): void {
    watch(deploy);
    navigate(`/apps/${appId}/history`);
    // What was pressed is gone; on the same page no arrival would move the focus.
    document.getElementById("main")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  const above = (
    <>
      {history.error ? <ErrorNotice error={toApiError(history.error)} /> : null}
      {strip}
      {app && !deleted ? (
        <RestNotice app={app} now={now} idleHours={meta?.idle_hours ?? 24} onDone={taken} />
      ) : null}
      {deleted ? (
        <RestoreNotice
          appId={appId}
          name={name}
          idle={newest?.action === "cleanup"}
          onTaken={taken}
        />
      ) : null}
    </>
  );
  if (commit !== undefined) {
    return (
      <VersionPage
        key={commit}
        appId={appId}
        commit={commit}
        name={name}
        entries={entries}
        deleted={deleted}
        above={above}
        onTaken={taken}
      />
    );
  }
  return (
    <HistoryList
      appId={appId}
      name={name}
      entries={entries}
      deleted={deleted}
      above={above}
      more={history.hasNextPage ? history.fetchNextPage : undefined}
      loading={history.isFetchingNextPage}
    />
  );
}

/** Progress of what was begun here, or is under way; how an earlier deploy ended is no news. */
function useStrip(appId: string) {
  const { progress, begin, accepted } = useProgress(appId);
  const [watched, setWatched] = useState(false);
  const [url, setUrl] = useState<string>();
  const [, navigate] = useLocation();
  const queries = useQueryClient();
  const { phase, status } = progress;
  const failed = status?.stage === "failed" ? status.commit : undefined;
  const lastLines = useLastLines(appId, watched ? failed : undefined);
  if (phase === "following" && !watched) setWatched(true);

  // What is live has moved.
  useEffect(() => {
    if (watched && phase === "ended") {
      void queries.invalidateQueries({ queryKey: historyKey(appId) });
      void queries.invalidateQueries({ queryKey: appsQuery.queryKey });
    }
  }, [watched, phase, appId, queries]);

  function watch(deploy: Deploy): void {
    setWatched(true);
    setUrl(deploy.url);
    begin("deploy"); // forgets the one before
    accepted(deploy.app_id);
    void queries.invalidateQueries({ queryKey: historyKey(appId) });
    void queries.invalidateQueries({ queryKey: appsQuery.queryKey });
  }

  const strip = watched ? (
    <section className={styles.strip} aria-label="Deploy">
      <DeployPanel
        progress={progress}
        url={url}
        lastLines={lastLines}
        onGoTo={() => navigate(`/apps/${appId}`)}
      />
    </section>
  ) : null;
  return { strip, watch };
}
