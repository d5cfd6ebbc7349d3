import { BookOpen, CircleDot, ExternalLink, MoonStar, Pin, PinOff, Trash2 } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import type { App } from "../../api/types";
import { Button, ButtonLink } from "../../ui/Button";
import { ErrorNotice } from "../../ui/Notice";
import { StateBadge } from "../../ui/StateBadge";
import { exact, relative } from "../../ui/time";
import { leaving, leavingMeans, leavingShort } from "../rest/leaving";
import { useRest } from "../rest/useRest";
import { DeleteAppDialog } from "./DeleteAppDialog";
import styles from "./dashboard.module.css";

export function AppCard({
  app,
  now,
  idleHours,
  canPin,
  hasDraft,
}: {
  app: App;
  now: number;
  idleHours: number;
  canPin: boolean;
  hasDraft: boolean;
}) {
  const [deleting, setDeleting] = useState(false);
  const { act, busy, error } = useRest(app.app_id, app.name);
  const next = leaving(app, now, idleHours);
  const asleep = app.status === "hibernated";
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
          {next ? (
            <dd
              className={next.soon ? styles.soon : undefined}
              title={leavingMeans(next)}
              data-soon={next.soon || undefined}
            >
              {leavingShort(next, now)}
            </dd>
          ) : (
            <dd>{app.pinned ? "no limit: pinned" : "no limit"}</dd>
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
          {asleep ? (
            <Button
              small
              look="primary"
              icon={<MoonStar aria-hidden />}
              busy={busy === "wake"}
              aria-label={`Wake ${app.name}`}
              onClick={() => act("wake")}
            >
              Wake
            </Button>
          ) : (
            <ButtonLink small href={app.url} icon={<ExternalLink aria-hidden />} {...elsewhere}>
              Open app
            </ButtonLink>
          )}
          <ButtonLink
            small
            look="quiet"
            href={`${app.url}docs`}
            icon={<BookOpen aria-hidden />}
            {...elsewhere}
          >
            Open docs
          </ButtonLink>
          {canPin || app.pinned ? (
            <Button
              small
              look="quiet"
              className={styles.end}
              icon={app.pinned ? <PinOff aria-hidden /> : <Pin aria-hidden />}
              busy={busy === "pin" || busy === "unpin"}
              aria-label={`Pin ${app.name}`}
              aria-pressed={app.pinned}
              title={app.pinned ? "Unpin: it may fall asleep again" : "Pin: it stays without use"}
              onClick={() => act(app.pinned ? "unpin" : "pin")}
            />
          ) : null}
          <Button
            small
            look="quiet"
            className={canPin || app.pinned ? undefined : styles.end}
            icon={<Trash2 aria-hidden />}
            aria-label={`Delete ${app.name}`}
            title="Delete app"
            onClick={() => setDeleting(true)}
          />
        </div>
      )}
      {error ? <ErrorNotice error={error} /> : null}
      {deleting ? (
        <DeleteAppDialog app={app} onClose={() => setDeleting(false)} onDeleted={() => undefined} />
      ) : null}
    </li>
  );
}
