import { useQuery } from "@tanstack/react-query";
import { ArchiveRestore } from "lucide-react";
import { Link } from "wouter";
import { toApiError } from "../../api/errors";
import { removedAppsQuery } from "../../api/queries";
import type { RemovedApp } from "../../api/types";
import { Button } from "../../ui/Button";
import { ErrorNotice } from "../../ui/Notice";
import { exact, relative, remaining } from "../../ui/time";
import styles from "./rest.module.css";
import { useRest } from "./useRest";

/** Apps that left within 30 days, each with its way back; nothing when there are none. */
export function RemovedApps({ now }: { now: number }) {
  const { data, error } = useQuery(removedAppsQuery);
  const apps = data?.apps ?? [];
  if (!data && error) return <ErrorNotice error={toApiError(error)} />;
  if (apps.length === 0) return null;
  return (
    <section className={styles.removed} aria-labelledby="removed-apps">
      <h2 id="removed-apps">Removed lately</h2>
      <p>
        Their code and history stay in the repository, and their addresses stay yours. For 30 days
        they are listed here.
      </p>
      <ul>
        {apps.map((app) => (
          <Removed key={app.app_id} app={app} now={now} />
        ))}
      </ul>
    </section>
  );
}

function Removed({ app, now }: { app: RemovedApp; now: number }) {
  const { act, busy, error } = useRest(app.app_id, app.name);
  return (
    <li>
      <div className={styles.row}>
        <div className={styles.what}>
          <h3>
            <Link href={`/apps/${app.app_id}/history`}>{app.name}</Link>
          </h3>
          <p title={exact(app.removed_at)}>
            {app.idle ? "Removed" : "Deleted"} {relative(app.removed_at, now)}
            {app.idle ? ", for nobody used it" : ""}. Listed for{" "}
            {remaining(app.reserved_until, now)} more.
          </p>
        </div>
        <Button
          small
          icon={<ArchiveRestore aria-hidden />}
          busy={busy === "restore"}
          aria-label={`Restore ${app.name}`}
          onClick={() => act("restore")}
        >
          Restore
        </Button>
      </div>
      {error ? <ErrorNotice error={error} /> : null}
    </li>
  );
}
