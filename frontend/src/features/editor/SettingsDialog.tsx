import { Plus, Trash2 } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import { Field } from "../../ui/Field";
import { envOf, MAX_VARIABLES, rowsOf, variableProblem } from "./environment";
import { isPython } from "./paths";
import styles from "./settings.module.css";
import type { Content } from "./workspace";

type Settings = Pick<Content, "name" | "entrypoint" | "env">;

/** Name, entrypoint and plain variables of an app; part of the draft until the next deploy. */
export function SettingsDialog({
  content,
  onApply,
  onClose,
}: {
  content: Content;
  onApply: (settings: Settings) => void;
  onClose: () => void;
}) {
  const [name, setName] = useState(content.name);
  const [entrypoint, setEntrypoint] = useState(content.entrypoint);
  const [rows, setRows] = useState(() => rowsOf(content.env));
  const [told, setTold] = useState(false);
  const select = useId();
  const modules = Object.keys(content.files).filter(isPython).sort();
  const nameProblem = name.trim() === "" ? "Give the app a name." : undefined;

  function submit(event: FormEvent): void {
    event.preventDefault();
    setTold(true);
    if (nameProblem || rows.some((row) => variableProblem(row, rows))) return;
    onApply({ name: name.trim(), entrypoint, env: envOf(rows) });
    onClose();
  }

  return (
    <Dialog title="Settings" onClose={onClose}>
      <form className={styles.form} onSubmit={submit} noValidate>
        <Field
          label="App name"
          maxLength={60}
          error={told ? nameProblem : undefined}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <div className={styles.select}>
          <label htmlFor={select}>Entrypoint</label>
          <select
            id={select}
            value={entrypoint}
            aria-describedby={`${select}-about`}
            onChange={(event) => setEntrypoint(event.target.value)}
          >
            {modules.includes(entrypoint) ? null : <option>{entrypoint}</option>}
            {modules.map((path) => (
              <option key={path}>{path}</option>
            ))}
          </select>
          <p id={`${select}-about`}>The file whose `app` is served.</p>
        </div>
        <Variables rows={rows} onChange={setRows} told={told} />
        <p className={styles.note}>
          Settings are part of your draft: they hold from the next deploy.
        </p>
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit">
            Apply
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

type Rows = ReturnType<typeof rowsOf>;

function Variables({
  rows,
  onChange,
  told,
}: {
  rows: Rows;
  onChange: (rows: Rows) => void;
  told: boolean;
}) {
  const nextKey = Math.max(-1, ...rows.map(({ key }) => key)) + 1;
  const change = (key: number, part: { name?: string; value?: string }) =>
    onChange(rows.map((row) => (row.key === key ? { ...row, ...part } : row)));
  return (
    <fieldset className={styles.variables}>
      <legend>Environment variables</legend>
      <p className={styles.note}>
        Read them with <code>pydantic_settings</code>. They are kept in the repository in plain
        text: no passwords or keys.
      </p>
      {rows.map((row, index) => {
        const problem = told || row.name !== "" ? variableProblem(row, rows) : undefined;
        return (
          <div key={row.key} className={styles.row}>
            <Field
              label={`Name of variable ${index + 1}`}
              className={styles.bare}
              placeholder="NAME"
              autoCapitalize="none"
              autoComplete="off"
              spellCheck={false}
              error={problem}
              autoFocus={row.name === "" && row.value === ""}
              value={row.name}
              onChange={(event) => change(row.key, { name: event.target.value })}
            />
            <Field
              label={`Value of variable ${index + 1}`}
              className={styles.bare}
              placeholder="value"
              autoComplete="off"
              spellCheck={false}
              value={row.value}
              onChange={(event) => change(row.key, { value: event.target.value })}
            />
            <Button
              look="quiet"
              icon={<Trash2 aria-hidden />}
              aria-label={`Remove variable ${row.name || index + 1}`}
              onClick={() => onChange(rows.filter(({ key }) => key !== row.key))}
            />
          </div>
        );
      })}
      <div>
        <Button
          small
          icon={<Plus aria-hidden />}
          disabled={rows.length >= MAX_VARIABLES}
          onClick={() => onChange([...rows, { key: nextKey, name: "", value: "" }])}
        >
          Add variable
        </Button>
      </div>
    </fieldset>
  );
}
