import { Radio } from "lucide-react";
import type { HistoryEntry, Who } from "../../api/types";
import styles from "./history.module.css";
import { totals, way } from "./words";

/** The version that runs: an icon and words, never a colour alone. */
export function LiveNow() {
  return (
    <span className={styles.live}>
      <Radio aria-hidden />
      Live now
    </span>
  );
}

export function By({ who }: { who: Who }) {
  return (
    <span>
      <bdi className={styles.who}>{who.name}</bdi>{" "}
      {who.pull_request ? (
        <a
          className={styles.asked}
          href={who.pull_request}
          target="_blank"
          rel="noopener noreferrer"
        >
          {way(who)}
        </a>
      ) : (
        way(who)
      )}
    </span>
  );
}

/** "3 files +12 −4" */
export function Size({ of }: { of: Pick<HistoryEntry, "changes" | "more_changes"> }) {
  const { files, added, removed } = totals(of);
  return (
    <span>
      {files} {files === 1 ? "file" : "files"} <Lines added={added} removed={removed} />
    </span>
  );
}

export function Lines({ added, removed }: { added: number; removed: number }) {
  return (
    <span className={styles.lines}>
      <span aria-hidden>
        <span className={styles.added}>+{added}</span>{" "}
        <span className={styles.removed}>−{removed}</span>
      </span>
      <span className="visually-hidden">
        lines: {added} added, {removed} removed
      </span>
    </span>
  );
}
