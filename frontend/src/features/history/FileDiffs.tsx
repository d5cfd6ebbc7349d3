import { FileMinus, FilePen, FilePlus } from "lucide-react";
import { type CSSProperties, lazy, Suspense, useMemo, useState } from "react";
import { PageLoading } from "../../app/PageLoading";
import { Notice } from "../../ui/Notice";
import type { ShownFile } from "./compare";
import styles from "./history.module.css";
import { Lines } from "./Marks";
import { fileLabel } from "./words";

// Monaco comes with it: nobody who only reads the list waits for that.
const DiffView = lazy(async () => ({
  default: (await import("../editor/DiffView")).DiffView,
}));

const MARKS = {
  added: { Icon: FilePlus, text: "added" },
  modified: { Icon: FilePen, text: "changed" },
  deleted: { Icon: FileMinus, text: "removed" },
};

/** Below this width, in pixels, the two sides stand one below the other. */
const INLINE_BELOW = 740;

/** Changed files to choose from, and the chosen one side by side. */
export function FileDiffs({
  files,
  sides,
}: {
  files: readonly ShownFile[];
  /** What stands left and right; the same array at each render. */
  sides: readonly [string, string];
}) {
  const [path, setPath] = useState<string>();
  const shown = files.find((file) => file.path === path) ?? files[0];
  if (!shown) return null;
  return (
    <div className={styles.diffs}>
      <ul className={styles.files} aria-label="Changed files">
        {files.map((file) => (
          <li key={file.path}>
            <button
              type="button"
              className={styles.file}
              aria-current={file === shown || undefined}
              onClick={() => setPath(file.path)}
            >
              <FileLine file={file} />
            </button>
          </li>
        ))}
      </ul>
      <SideBySide key={shown.path} file={shown} sides={sides} />
    </div>
  );
}

function FileLine({ file: { path, status, added, removed } }: { file: ShownFile }) {
  const { Icon, text } = MARKS[status];
  return (
    <>
      <Icon aria-hidden data-status={status} />
      <bdi>{fileLabel(path)}</bdi>
      <span className={styles.status}>{text}</span>
      {added === null || removed === null ? null : <Lines added={added} removed={removed} />}
    </>
  );
}

function SideBySide({ file, sides }: { file: ShownFile; sides: readonly [string, string] }) {
  const { path, status, before, after } = file;
  const difference = useMemo(
    () => ({ path, before: before ?? undefined, after: after ?? undefined }),
    [path, before, after],
  );
  if (before === null || after === null) {
    return (
      <Notice>
        {path.startsWith("secrets/")
          ? "The value of a secret is never shown."
          : "This file is no text, or too large to be shown."}
      </Notice>
    );
  }
  // As high as its longer side, within what the page can spare.
  const lines = Math.max(before.split("\n").length, after.split("\n").length);
  const style = { "--lines": lines } as CSSProperties;
  return (
    <figure
      className={styles.figure}
      style={style}
      data-status={status}
      aria-label={`Changes of ${fileLabel(path)}`}
    >
      <figcaption className={styles.sides} aria-hidden>
        <span>{sides[0]}</span>
        <span>{sides[1]}</span>
      </figcaption>
      <Suspense fallback={<PageLoading text="Loading the comparison…" />}>
        <DiffView
          difference={difference}
          sides={sides}
          inlineBelow={INLINE_BELOW}
          className={styles.diff}
        />
      </Suspense>
    </figure>
  );
}
