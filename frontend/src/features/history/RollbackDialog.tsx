import { useMutation, useQuery } from "@tanstack/react-query";
import { Undo2 } from "lucide-react";
import { useMemo } from "react";
import { answer, http } from "../../api/client";
import { toApiError } from "../../api/errors";
import { meQuery } from "../../api/queries";
import type { Deploy, PastVersion } from "../../api/types";
import { PageLoading } from "../../app/PageLoading";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import { ErrorNotice, Notice } from "../../ui/Notice";
import { filesReturning, notCompared, settingsChanged, summary } from "./compare";
import { FileDiffs } from "./FileDiffs";
import styles from "./history.module.css";
import { versionBeforeQuery } from "./queries";
import { Refusal } from "./Refusal";
import { SettingChanges } from "./SettingChanges";
import { fileLabel } from "./words";

const SIDES = ["Now", "After going back"] as const;

/** Shows what going back would change, before it does. */
export function RollbackDialog({
  appId,
  then,
  onTaken,
  onClose,
}: {
  appId: string;
  then: PastVersion;
  onTaken: (deploy: Deploy) => void;
  onClose: () => void;
}) {
  const { data: me } = useQuery(meQuery);
  // Asked anew each time: what is compared with must be what is there now.
  const { data: now, error } = useQuery({ ...versionBeforeQuery(appId), staleTime: 0 });
  const rollBack = useMutation({
    mutationFn: () =>
      answer(
        http.POST("/api/apps/{app_id}/rollback", {
          params: { path: { app_id: appId } },
          body: { commit: then.commit },
        }),
      ),
    onSuccess(deploy) {
      onClose();
      onTaken(deploy);
    },
  });
  const failure = rollBack.error ? toApiError(rollBack.error) : undefined;
  // The same again would be refused again.
  const final = failure?.code === "source_refused";
  return (
    <Dialog wide title={`Roll back to ${then.commit.slice(0, 8)}?`} onClose={onClose}>
      {error ? <ErrorNotice error={toApiError(error)} /> : null}
      {failure ? (
        <Refusal
          error={failure}
          userId={me?.user_id}
          appId={appId}
          name={now?.name ?? then.name}
          then={then}
          now={now ?? undefined}
        />
      ) : (
        <>
          {now ? <Preview now={now} then={then} /> : null}
          {now || error ? null : <PageLoading text="Comparing with the version of now…" />}
        </>
      )}
      <div className={styles.footer}>
        <DialogActions>
          <Button onClick={onClose}>{final ? "Close" : "Cancel"}</Button>
          {final ? null : (
            <Button
              look="primary"
              icon={<Undo2 aria-hidden />}
              busy={rollBack.isPending}
              onClick={() => rollBack.mutate()}
            >
              Roll back
            </Button>
          )}
        </DialogActions>
      </div>
    </Dialog>
  );
}

function Preview({ now, then }: { now: PastVersion; then: PastVersion }) {
  const files = useMemo(() => filesReturning(now, then), [now, then]);
  const settings = settingsChanged(now, then, false);
  const unseen = notCompared(now, then);
  return (
    <>
      <p>
        {unseen.length === 0 || files.length + settings.length > 0 ? (
          <strong>{summary(files, settings)}</strong>
        ) : null}{" "}
        The name, the address and the secrets stay as they are. The version of now stays in the
        history, so you can come back to it the same way.
      </p>
      {now.live === false ? (
        <Notice>
          The newest version, which this compares with, is not the one that is live now.
        </Notice>
      ) : null}
      <SettingChanges changes={settings} />
      <FileDiffs files={files} sides={SIDES} />
      {unseen.length > 0 ? (
        <p className={styles.none}>
          Too large to be compared here: {unseen.map(fileLabel).join(", ")}.
        </p>
      ) : null}
    </>
  );
}
