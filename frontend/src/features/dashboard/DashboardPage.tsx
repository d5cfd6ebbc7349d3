import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { toApiError } from "../../api/errors";
import { appsQuery, meQuery, metaQuery } from "../../api/queries";
import { Page } from "../../app/Page";
import { PageLoading } from "../../app/PageLoading";
import { Button } from "../../ui/Button";
import { ErrorNotice, Notice } from "../../ui/Notice";
import { useNow } from "../../ui/useNow";
import { draftedApps, newDrafts } from "../drafts/drafts";
import { RemovedApps } from "../rest/RemovedApps";
import { FirstApp } from "../starters/FirstApp";
import { NewAppDialog } from "../starters/NewAppDialog";
import { AppCard } from "./AppCard";
import { DraftCard } from "./DraftCard";
import styles from "./dashboard.module.css";

export function DashboardPage() {
  const { data: me } = useQuery(meQuery);
  const { data: meta } = useQuery(metaQuery);
  const { data, error, isPending } = useQuery(appsQuery);
  const [creating, setCreating] = useState(false);
  const [, setRevision] = useState(0);
  const now = useNow();

  const apps = data?.apps ?? [];
  const drafts = me ? newDrafts(me.user_id) : [];
  const changed = me ? draftedApps(me.user_id) : new Set<string>();
  const isEmpty = data !== undefined && apps.length === 0 && drafts.length === 0;
  const isFull = meta !== undefined && apps.length >= meta.max_apps_per_user;

  return (
    <Page
      title="Apps"
      actions={
        // Not before it is known: a first app is begun from a starter on the page itself.
        isPending || isEmpty ? undefined : (
          <Button
            look="primary"
            icon={<Plus aria-hidden />}
            disabled={isFull}
            title={
              isFull ? `You have as many apps as one person may have: ${apps.length}` : undefined
            }
            onClick={() => setCreating(true)}
          >
            New app
          </Button>
        )
      }
    >
      {error ? <ErrorNotice error={toApiError(error)} /> : null}
      {isPending ? <PageLoading /> : null}
      {isEmpty && me ? <FirstApp userId={me.user_id} /> : null}
      {apps.length > 0 || drafts.length > 0 ? (
        <ul className={styles.cards} aria-label="Your apps">
          {me
            ? drafts.map(({ id, draft }) => (
                <DraftCard
                  key={id}
                  draftKey={{ userId: me.user_id, kind: "drafts", id }}
                  draft={draft}
                  now={now}
                  onDropped={() => setRevision((revision) => revision + 1)}
                />
              ))
            : null}
          {apps.map((app) => (
            <AppCard
              key={app.app_id}
              app={app}
              now={now}
              idleHours={meta?.idle_hours ?? 24}
              canPin={(meta?.max_pinned_apps ?? 0) > 0}
              hasDraft={changed.has(app.app_id)}
            />
          ))}
        </ul>
      ) : null}
      <RemovedApps now={now} />
      {meta?.isolated === false ? (
        <Notice>
          This platform runs on one machine, for learning and trying out: apps are plain processes
          and are not isolated from it. Deploy only code that you trust.
        </Notice>
      ) : null}
      {creating && me ? (
        <NewAppDialog userId={me.user_id} onClose={() => setCreating(false)} />
      ) : null}
    </Page>
  );
}
