import { type FormEvent, useState } from "react";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import { Field } from "../../ui/Field";
import { pathProblem } from "./paths";

export function FileNameDialog({
  title,
  action,
  initial = "",
  paths,
  onName,
  onClose,
}: {
  title: string;
  action: string;
  initial?: string;
  paths: readonly string[];
  onName: (path: string) => void;
  onClose: () => void;
}) {
  const [path, setPath] = useState(initial);
  const [told, setTold] = useState(false);
  const problem = pathProblem(path.trim(), paths);
  function submit(event: FormEvent): void {
    event.preventDefault();
    setTold(true);
    if (problem) return;
    onName(path.trim());
    onClose();
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit}>
        <Field
          label="File name"
          autoCapitalize="none"
          autoComplete="off"
          spellCheck={false}
          placeholder="routers/items.py"
          help="A “/” makes a folder. Files under static/ hold pages, styles and scripts."
          error={told || (path !== initial && path !== "") ? problem : undefined}
          value={path}
          onFocus={({ target }) => target.setSelectionRange(0, initial.lastIndexOf("."))}
          onChange={(event) => setPath(event.target.value)}
        />
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit">
            {action}
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

export function DeleteFileDialog({
  path,
  onDelete,
  onClose,
}: {
  path: string;
  onDelete: () => void;
  onClose: () => void;
}) {
  return (
    <Dialog title={`Delete ${path}?`} onClose={onClose}>
      <p>
        It leaves your draft now, and your app with the next deploy. What was deployed stays in the
        history.
      </p>
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button
          look="danger"
          onClick={() => {
            onDelete();
            onClose();
          }}
        >
          Delete file
        </Button>
      </DialogActions>
    </Dialog>
  );
}
