import { PencilLine } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { type ApiError, diagnosticsOf } from "../../api/errors";
import type { PastVersion } from "../../api/types";
import { Button } from "../../ui/Button";
import { ErrorNotice, Notice } from "../../ui/Notice";
import { Prose } from "../../ui/Prose";
import { visible } from "../../ui/visible";
import { loadDraft } from "../drafts/drafts";
import styles from "./history.module.css";
import { reopen } from "./reopen";

/** Why an earlier version cannot come back by itself, and the way to bring it back by hand. */
export function Refusal({
  error,
  userId,
  appId,
  name,
  then,
  now,
}: {
  error: ApiError;
  userId: string | undefined;
  appId: string;
  name: string;
  /** What was refused; nothing while it is not loaded. */
  then: PastVersion | undefined;
  /** The app as it is; nothing for one that is deleted. */
  now: PastVersion | undefined;
}) {
  const [, navigate] = useLocation();
  const opener = useRef<HTMLButtonElement>(null);
  const [trouble, setTrouble] = useState<"draft" | "full">();
  const canOpen = error.code === "source_refused" && userId !== undefined && then?.exists;

  // What was pressed went with the refusal; this is what can be done now.
  useEffect(() => opener.current?.focus(), []);

  function open(replacing: boolean): void {
    if (!userId || !then) return;
    if (now && !replacing && loadDraft({ userId, kind: "apps", id: appId })) {
      setTrouble("draft");
      return;
    }
    const place = reopen(userId, appId, then, now, name);
    if (place) navigate(place);
    else setTrouble("full");
  }

  return (
    <>
      <ErrorNotice
        error={error}
        actions={
          canOpen ? (
            <Button
              ref={opener}
              small
              icon={<PencilLine aria-hidden />}
              onClick={() => open(false)}
            >
              Open in the editor
            </Button>
          ) : undefined
        }
      />
      <Rules error={error} />
      {canOpen && !now ? (
        <p className={styles.none}>
          In the editor it becomes a new app, with an address of its own.
        </p>
      ) : null}
      {trouble === "draft" ? (
        <Notice
          kind="warn"
          role="alert"
          title="This browser has undeployed changes to this app."
          actions={
            <Button small look="danger" onClick={() => open(true)}>
              Replace them
            </Button>
          }
        >
          Opening this version in the editor replaces them.
        </Notice>
      ) : null}
      {trouble === "full" ? (
        <Notice kind="danger" role="alert" title="This version cannot be kept in this browser.">
          Its storage is full or blocked, and a draft lives there.
        </Notice>
      ) : null}
    </>
  );
}

/** Each rule that is broken, and where. */
function Rules({ error }: { error: ApiError }) {
  const found = diagnosticsOf(error);
  if (found.length === 0) return null;
  return (
    <ul className={styles.rules} aria-label="What the check refuses">
      {found.map(({ path, line, column, code, message, hint }) => (
        <li key={`${path}:${line}:${column}:${code}`}>
          <span>
            <Prose text={message} />
          </span>
          <span className={styles.none}>
            <Prose text={hint} />
          </span>
          <code>
            {visible(path)}:{line} · {code}
          </code>
        </li>
      ))}
    </ul>
  );
}
