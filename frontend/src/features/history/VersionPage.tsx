import { useQuery } from "@tanstack/react-query";
import { ArrowLeft, ChevronLeft, ChevronRight, Undo2 } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";
import { Link } from "wouter";
import { toApiError } from "../../api/errors";
import type { Deploy, HistoryEntry, PastVersion } from "../../api/types";
import { Page } from "../../app/Page";
import { PageLoading } from "../../app/PageLoading";
import { Button } from "../../ui/Button";
import { ErrorNotice } from "../../ui/Notice";
import { useNow } from "../../ui/useNow";
import { filesChanged, settingsChanged } from "./compare";
import { FileDiffs } from "./FileDiffs";
import styles from "./history.module.css";
import { By, LiveNow, Size } from "./Marks";
import { Moment } from "./Moment";
import { versionBeforeQuery, versionQuery } from "./queries";
import { RollbackDialog } from "./RollbackDialog";
import { SettingChanges } from "./SettingChanges";
import { Unavailable } from "./Unavailable";
import { what } from "./words";

const SIDES = ["Before", "After"] as const;

/** One commit by its address: what it changed, and the way back to it. */
export function VersionPage({
  appId,
  commit,
  name,
  entries,
  deleted,
  above,
  onTaken,
}: {
  appId: string;
  commit: string;
  name: string;
  /** The app's history as far as it is loaded, for the ways to newer and older ones. */
  entries: readonly HistoryEntry[];
  deleted: boolean;
  above: ReactNode;
  onTaken: (deploy: Deploy) => void;
}) {
  const { data: version, error } = useQuery(versionQuery(appId, commit));
  const [asking, setAsking] = useState(false);
  const now = useNow();
  const files = useMemo(() => (version ? filesChanged(version) : []), [version]);

  if (!version) {
    return error ? <Unavailable error={toApiError(error)} appId={appId} /> : <PageLoading />;
  }
  const isNewest = entries[0]?.commit === commit;
  const canGoBack = version.exists && !deleted && !isNewest;
  const { who, at, more_changes } = version;
  return (
    <Page
      title={what(version)}
      intro={
        <span className={styles.facts}>
          <By who={who} />
          <Moment at={at} now={now} />
          <Size of={version} />
          <code title={commit}>{commit.slice(0, 8)}</code>
          {version.live ? <LiveNow /> : null}
        </span>
      }
      actions={
        canGoBack ? (
          <Button look="primary" icon={<Undo2 aria-hidden />} onClick={() => setAsking(true)}>
            Roll back to this version
          </Button>
        ) : undefined
      }
    >
      <Ways appId={appId} commit={commit} name={name} entries={entries} />
      {above}
      {who.kind === "editor" ? null : (
        <p className={styles.subject}>
          <bdi>{version.subject}</bdi>
        </p>
      )}
      <Settings appId={appId} version={version} />
      <section className={styles.part} aria-labelledby="changed-files">
        <h2 id="changed-files">Files</h2>
        <FileDiffs files={files} sides={SIDES} />
        {files.length === 0 ? <p className={styles.none}>This commit changed no file.</p> : null}
        {more_changes > 0 ? (
          <p className={styles.none}>
            {more_changes} more {more_changes === 1 ? "file is" : "files are"} not listed.
          </p>
        ) : null}
      </section>
      {asking ? (
        <RollbackDialog
          appId={appId}
          then={version}
          onTaken={onTaken}
          onClose={() => setAsking(false)}
        />
      ) : null}
    </Page>
  );
}

function Ways({
  appId,
  commit,
  name,
  entries,
}: {
  appId: string;
  commit: string;
  name: string;
  entries: readonly HistoryEntry[];
}) {
  const at = entries.findIndex((entry) => entry.commit === commit);
  const newer = at > 0 ? entries[at - 1] : undefined;
  const older = at >= 0 ? entries[at + 1] : undefined;
  return (
    <nav className={styles.ways} aria-label="Versions">
      <Link href={`/apps/${appId}/history`}>
        <ArrowLeft aria-hidden />
        <span>
          History of <bdi>{name}</bdi>
        </span>
      </Link>
      {newer ? (
        <Link href={`/apps/${appId}/history/${newer.commit}`}>
          <ChevronLeft aria-hidden />
          Newer
        </Link>
      ) : null}
      {older ? (
        <Link href={`/apps/${appId}/history/${older.commit}`}>
          Older
          <ChevronRight aria-hidden />
        </Link>
      ) : null}
    </nav>
  );
}

/** The settings that a commit changed, in words; beside them app.yaml is among the files. */
function Settings({ appId, version }: { appId: string; version: PastVersion }) {
  const status = version.changes.find(({ path }) => path === "app.yaml")?.status;
  const { data: before, error } = useQuery({
    ...versionBeforeQuery(appId, version.commit),
    enabled: status === "modified",
  });
  if (error) return <ErrorNotice error={toApiError(error)} />;
  if (status !== "modified" || !before?.exists) return null;
  const changes = settingsChanged(before, version, true);
  if (changes.length === 0) return null;
  return (
    <section className={styles.part} aria-labelledby="changed-settings">
      <h2 id="changed-settings">Settings</h2>
      <SettingChanges changes={changes} />
    </section>
  );
}
