import { useState } from "react";
import type { AppStatus, Meta } from "../../api/types";
import { Button } from "../../ui/Button";
import { Notice } from "../../ui/Notice";
import type { Draft } from "../drafts/drafts";
import styles from "./editor.module.css";
import type { DraftControl } from "./useDraft";
import type { Base } from "./workspace";

const SEEN = "fastapi-platform.seen-not-isolated";

function wasSeen(): boolean {
  try {
    return localStorage.getItem(SEEN) === "yes";
  } catch {
    return false;
  }
}

/** What is worth knowing above the code; nothing on most days. */
export function EditorNotices({
  meta,
  stale,
  draft,
  status,
  onCompare,
  onTake,
}: {
  meta: Meta | undefined;
  stale: Base | undefined;
  draft: DraftControl;
  status: AppStatus | undefined;
  onCompare: (current: Base) => void;
  onTake: (draft: Draft) => void;
}) {
  const [seen, setSeen] = useState(wasSeen);
  function dismiss(): void {
    setSeen(true);
    try {
      localStorage.setItem(SEEN, "yes");
    } catch {
      // It is said again next time.
    }
  }
  const stopped = status?.status === "suspended" || status?.status === "removed";
  const { state: kept, elsewhere, settle } = draft;
  if (!stale && kept !== "full" && !elsewhere && !stopped && (meta?.isolated !== false || seen))
    return null;
  return (
    <section className={styles.notices} aria-label="Notices">
      {stale ? (
        <Notice
          kind="warn"
          role="status"
          title="This app changed since you began this draft."
          actions={
            <Button small onClick={() => onCompare(stale)}>
              Compare
            </Button>
          }
        >
          Your draft is safe: compare the two, and keep yours, take the other, or merge them.
        </Notice>
      ) : null}
      {elsewhere ? (
        <Notice
          kind="warn"
          role="status"
          title="This draft was changed in another window."
          actions={
            <>
              <Button small onClick={() => onTake(elsewhere)}>
                Take that one
              </Button>
              <Button small onClick={settle}>
                Keep this one
              </Button>
            </>
          }
        >
          Until you choose, what you type here is not kept.
        </Notice>
      ) : null}
      {kept === "full" ? (
        <Notice kind="danger" role="alert" title="This draft cannot be kept in this browser.">
          Its storage is full or blocked: deploy or copy your work before you leave this page.
        </Notice>
      ) : null}
      {stopped ? <Notice kind="warn" title={status.message} /> : null}
      {meta?.isolated === false && !seen ? (
        <Notice
          actions={
            <Button small look="quiet" onClick={dismiss}>
              Understood
            </Button>
          }
        >
          Apps here run as plain processes on this machine and are not isolated from it. Deploy only
          code that you trust.
        </Notice>
      ) : null}
    </section>
  );
}
