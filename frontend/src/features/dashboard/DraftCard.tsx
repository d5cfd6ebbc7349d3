import { Pencil, Trash2 } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { Button, ButtonLink } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import { StateBadge } from "../../ui/StateBadge";
import { exact, relative } from "../../ui/time";
import { type Draft, type DraftKey, dropDraft } from "../drafts/drafts";
import styles from "./dashboard.module.css";

/** An app that was begun and never deployed; only this browser knows it. */
export function DraftCard({
  draftKey,
  draft,
  now,
  onDropped,
}: {
  draftKey: DraftKey;
  draft: Draft;
  now: number;
  onDropped: () => void;
}) {
  const [asking, setAsking] = useState(false);
  const { name } = draft.content;
  const href = `/drafts/${draftKey.id}`;
  return (
    <li className={`${styles.card} ${styles.draft}`}>
      <div className={styles.top}>
        <h2>
          <Link href={href}>{name}</Link>
        </h2>
        <StateBadge state="draft" />
      </div>
      <p className={styles.about}>Only in this browser until you deploy it.</p>
      <dl className={styles.facts}>
        <div>
          <dt>Files</dt>
          <dd>{Object.keys(draft.content.files).length}</dd>
        </div>
        <div>
          <dt>Last change</dt>
          <dd title={exact(draft.savedAt)}>{relative(draft.savedAt, now)}</dd>
        </div>
      </dl>
      <div className={styles.actions}>
        <Link href={href} asChild>
          <ButtonLink small icon={<Pencil aria-hidden />}>
            Go on writing
          </ButtonLink>
        </Link>
        <Button
          small
          look="quiet"
          className={styles.end}
          icon={<Trash2 aria-hidden />}
          aria-label={`Discard the draft ${name}`}
          title="Discard the draft"
          onClick={() => setAsking(true)}
        />
      </div>
      {asking ? (
        <Dialog title={`Discard ${name}?`} onClose={() => setAsking(false)}>
          <p>It was never deployed, so this is the only copy.</p>
          <DialogActions>
            <Button onClick={() => setAsking(false)}>Cancel</Button>
            <Button
              look="danger"
              onClick={() => {
                dropDraft(draftKey);
                onDropped();
              }}
            >
              Discard
            </Button>
          </DialogActions>
        </Dialog>
      ) : null}
    </li>
  );
}
