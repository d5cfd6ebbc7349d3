import { BookOpen, CircleDot, ExternalLink, Trash2 } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import type { App } from "../../api/types";
import { Button, ButtonLink } from "../../ui/Button";
import { StateBadge } from "../../ui/StateBadge";
import { exact, relative, remaining } from "../../ui/time";
import { DeleteAppDialog } from "./DeleteAppDialog";
import styles from "./dashboard.module.css";

export function AppCard({ app, now, hasDraft }: { app: App; now: number; hasDraft: boolean }) {
  const [deleting, setDeleting] = useState(false);
  const gone = app.status === "deleting" || app.status === "removed";
  const elsewhere = { target: "_blank", rel: "noopener noreferrer" };
  return (
    <li className={styles.card}>
      <div className={styles.top}>
        <h2>{gone ? app.name : <Link href={`/apps/${app.app_id}`}>{app.name}</Link>}</h2>
        <StateBadge state={app.status} />
      </div>
      <a className={styles.address} href={app.url} title={app.url} {...elsewhere}>
        {app.url.replace(/^https?:\/\//, "")}
      </a>
      <dl className={styles.facts}>
        <div>
          <dt>Created</dt>
          <dd title={exact(app.created_at)}>{relative(app.created_at, now)}</dd>
        </div>
        <div>
          <dt>Last deploy</dt>
          <dd title={exact(app.deployed_at)}>{relative(app.deployed_at, now)}</dd>
        </div>
        <div>
          <dt>Last activity</dt>
          <dd title={exact(app.last_activity_at)}>{relative(app.last_activity_at, now)}</dd>
        </div>
        <div>
          <dt>Time left</dt>
          {app.expires_at ? (
            <dd title={`Removed after ${exact(app.expires_at)} if nobody uses it`}>
              {remaining(app.expires_at, now)}
            </dd>
          ) : (
            <dd>no limit</dd>
          )}
        </div>
      </dl>
      {hasDraft ? (
        <p className={styles.changed}>
          <CircleDot aria-hidden /> Undeployed changes in this browser
        </p>
      ) : null}
      {gone ? null : (
        <div className={styles.actions}>
          <ButtonLink small href={app.url} icon={<ExternalLink aria-hidden />} {...elsewhere}>
            Open app
          </ButtonLink>
          <ButtonLink
            small
            look="quiet"
            href={`${app.url}docs`}
            icon={<BookOpen aria-hidden />}
            {...elsewhere}
          >
            Open docs
          </ButtonLink>
          <Button
            small
            look="quiet"
            className={styles.delete}
            icon={<Trash2 aria-hidden />}
            aria-label={`Delete ${app.name}`}
            title="Delete app"
            onClick={() => setDeleting(true)}
          />
        </div>
      )}
      {deleting ? (
        <DeleteAppDialog app={app} onClose={() => setDeleting(false)} onDeleted={() => undefined} />
      ) : null}
    </li>
  );
}
