import { useState } from "react";
import type { Version } from "../../api/errors";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import styles from "./conflict.module.css";
import { DiffView } from "./DiffView";
import { type Base, type Content, contentOf, type Difference, differences } from "./workspace";

/** What the person made of two versions: a draft on the app's newest one, or its next deploy. */
export interface Resolution {
  base: Base;
  content: Content;
  deploys: boolean;
}

/**
 * The app changed underneath: shows both versions and lets the person choose, or merge by hand: the
 * draft's side can be written in, and each file can be taken from the app.
 */
export default function ConflictDialog({
  mine,
  current,
  onResolve,
  onClose,
}: {
  mine: Content;
  current: Version;
  onResolve: (resolution: Resolution) => void;
  onClose: () => void;
}) {
  // Those that differed at the start stay on the list, so that each can be looked at again.
  const [files] = useState(() => differences(current, mine));
  const [merged, setMerged] = useState(mine);
  const [shown, setShown] = useState(files[0]);
  const settings = settingsThatDiffer(current, merged);
  const path = shown?.path;
  function show(name: string, content: Content): void {
    setShown({ path: name, before: current.files[name], after: content.files[name] });
  }
  function edit(name: string, text: string): void {
    setMerged((content) => ({ ...content, files: { ...content.files, [name]: text } }));
  }
  function takeFile(name: string): void {
    const { [name]: _mine, ...rest } = merged.files;
    const theirs = current.files[name];
    const taken = { ...merged, files: theirs === undefined ? rest : { ...rest, [name]: theirs } };
    setMerged(taken);
    show(name, taken);
  }
  function resolve(content: Content, deploys: boolean): void {
    onClose();
    onResolve({ base: current, content, deploys });
  }
  return (
    <Dialog wide title="This app changed since you began" onClose={onClose}>
      <p>
        Somebody, or you in another window, made the version{" "}
        <code>{current.commit.slice(0, 8)}</code> in the meantime. Nothing was overwritten. Your
        draft can go on top of it, also with changes that you make here. Taking the app's version
        gives your draft up.
      </p>
      {settings.length > 0 ? <p>These settings differ: {settings.join(", ")}.</p> : null}
      {files.length > 0 ? (
        <div className={styles.compare}>
          <div className={styles.files}>
            <label htmlFor="conflict-file">Files that differ</label>
            <select
              id="conflict-file"
              value={path}
              onChange={(event) => show(event.target.value, merged)}
            >
              {files.map((file) => (
                <option key={file.path} value={file.path}>
                  {file.path}
                  {whereItIs(file)}
                </option>
              ))}
            </select>
            {path !== undefined && merged.files[path] !== current.files[path] ? (
              <Button small onClick={() => takeFile(path)}>
                Take this file from the app
              </Button>
            ) : (
              <span role="status">As the app has it</span>
            )}
          </div>
          <div className={styles.sides} aria-hidden>
            <span>The app now</span>
            <span>Your draft</span>
          </div>
          {shown ? <DiffView difference={shown} onEdit={edit} /> : null}
        </div>
      ) : null}
      <DialogActions>
        <Button onClick={onClose}>Decide later</Button>
        <Button onClick={() => resolve(contentOf(current), false)}>Take the app's version</Button>
        <Button onClick={() => resolve(merged, false)}>Keep as my draft</Button>
        <Button look="primary" onClick={() => resolve(merged, true)}>
          Deploy my version
        </Button>
      </DialogActions>
    </Dialog>
  );
}

function whereItIs({ before, after }: Difference): string {
  if (before === undefined) return " (only in yours)";
  return after === undefined ? " (only in theirs)" : "";
}

function settingsThatDiffer(a: Content, b: Content): string[] {
  const env = (content: Content) => JSON.stringify(Object.entries(content.env).sort());
  return [
    a.name === b.name ? "" : "name",
    a.entrypoint === b.entrypoint ? "" : "entrypoint",
    env(a) === env(b) ? "" : "environment variables",
  ].filter(Boolean);
}
