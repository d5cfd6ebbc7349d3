import { Pencil } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { Link } from "wouter";
import type { HistoryEntry } from "../../api/types";
import { Page } from "../../app/Page";
import { Button, ButtonLink } from "../../ui/Button";
import { Notice } from "../../ui/Notice";
import { useNow } from "../../ui/useNow";
import styles from "./history.module.css";
import { By, LiveNow, Size } from "./Marks";
import { Moment } from "./Moment";
import { byDay, what } from "./words";

/** All commits of an app by day, newest first. */
export function HistoryList({
  appId,
  name,
  entries,
  deleted,
  above,
  more,
  loading,
}: {
  appId: string;
  name: string;
  entries: HistoryEntry[];
  deleted: boolean;
  above: ReactNode;
  /** Loads older ones; nothing when these are all. */
  more: (() => Promise<unknown>) | undefined;
  loading: boolean;
}) {
  const now = useNow();
  const list = useRef<HTMLDivElement>(null);
  const shown = useRef<number>(undefined);

  // The button moves down, or goes: reading goes on at the first of what it brought.
  useEffect(() => {
    if (shown.current === undefined || entries.length <= shown.current) return;
    const first = list.current?.querySelectorAll<HTMLElement>("[data-entry]")[shown.current];
    shown.current = undefined;
    first?.focus();
  }, [entries.length]);

  return (
    <Page
      title={`History of ${name}`}
      intro="Every change is kept. Choose one to see what it did, or to go back to it."
      actions={
        deleted ? undefined : (
          <Link href={`/apps/${appId}`} asChild>
            <ButtonLink icon={<Pencil aria-hidden />}>Open the editor</ButtonLink>
          </Link>
        )
      }
    >
      {above}
      {entries.some(({ live }) => live === null) ? (
        <Notice kind="warn">
          The cluster cannot be asked at the moment, so which version is live is not shown.
        </Notice>
      ) : null}
      <div ref={list} className={styles.days}>
        {byDay(entries, now).map((day) => (
          <section key={day.title} aria-label={day.title} className={styles.day}>
            <h2>{day.title}</h2>
            <ol className={styles.entries}>
              {day.entries.map((entry) => (
                <Entry key={entry.commit} appId={appId} entry={entry} now={now} />
              ))}
            </ol>
          </section>
        ))}
      </div>
      {more ? (
        <Button
          className={styles.more}
          busy={loading}
          onClick={() => {
            shown.current = entries.length;
            void more();
          }}
        >
          Load more
        </Button>
      ) : null}
      <p className="visually-hidden" role="status">
        {`${entries.length} ${entries.length === 1 ? "version" : "versions"} shown${more ? "" : ", all there are"}.`}
      </p>
    </Page>
  );
}

function Entry({ appId, entry, now }: { appId: string; entry: HistoryEntry; now: number }) {
  const { commit, who, at, subject, live } = entry;
  const own = who.kind === "editor" || who.kind === "cleanup";
  return (
    <li className={styles.entry} data-live={live || undefined}>
      <div className={styles.what}>
        <Link href={`/apps/${appId}/history/${commit}`} data-entry>
          <bdi>{what(entry)}</bdi>
        </Link>
        {live ? <LiveNow /> : null}
      </div>
      {own || subject === "" ? null : (
        <p className={styles.subject}>
          <bdi>{subject}</bdi>
        </p>
      )}
      <p className={styles.facts}>
        <By who={who} />
        <Moment at={at} now={now} />
        <Size of={entry} />
        <code title={commit}>{commit.slice(0, 8)}</code>
      </p>
    </li>
  );
}
