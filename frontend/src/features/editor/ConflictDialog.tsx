import { useState } from "react";
import type { Version } from "../../api/errors";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import styles from "./conflict.module.css";
import { DiffView } from "./DiffView";
import { type Content, differences } from "./workspace";

/** The app changed underneath: shows both versions and lets the person choose. */
export default function ConflictDialog({
  mine,
  current,
  onResolve,
  onClose,
}: {
  mine: Content;
  current: Version;
  onResolve: (current: Version, keep: "mine" | "theirs") => void;
  onClose: () => void;
}) {
  const files = differences(current, mine);
  const [path, setPath] = useState(files[0]?.path);
  const shown = files.find((file) => file.path === path);
  const settings = settingsThatDiffer(current, mine);
  function resolve(keep: "mine" | "theirs"): void {
    onClose();
    onResolve(current, keep);
  }
  return (
    <Dialog wide title="This app changed since you began" onClose={onClose}>
      <p>
        Somebody, or you in another window, made the version{" "}
        <code>{current.commit.slice(0, 8)}</code> in the meantime. Nothing was overwritten. Choose
        what the app shall be; the other version stays in its history.
      </p>
      {settings.length > 0 ? <p>These settings differ: {settings.join(", ")}.</p> : null}
      {files.length > 0 ? (
        <div className={styles.compare}>
          <div className={styles.files}>
            <label htmlFor="conflict-file">Files that differ</label>
            <select
              id="conflict-file"
              value={path}
              onChange={(event) => setPath(event.target.value)}
            >
              {files.map((file) => (
                <option key={file.path} value={file.path}>
                  {file.path}
                  {file.before === undefined ? " (only in yours)" : ""}
                  {file.after === undefined ? " (only in theirs)" : ""}
                </option>
              ))}
            </select>
          </div>
          <div className={styles.sides} aria-hidden>
            <span>The app now</span>
            <span>Your draft</span>
          </div>
          {shown ? <DiffView difference={shown} /> : null}
        </div>
      ) : null}
      <DialogActions>
        <Button onClick={onClose}>Decide later</Button>
        <Button onClick={() => resolve("theirs")}>Take the app's version</Button>
        <Button look="primary" onClick={() => resolve("mine")}>
          Deploy my version
        </Button>
      </DialogActions>
    </Dialog>
  );
}

function settingsThatDiffer(a: Content, b: Content): string[] {
  const env = (content: Content) => JSON.stringify(Object.entries(content.env).sort());
  return [
    a.name === b.name ? "" : "name",
    a.entrypoint === b.entrypoint ? "" : "entrypoint",
    env(a) === env(b) ? "" : "environment variables",
  ].filter(Boolean);
}
