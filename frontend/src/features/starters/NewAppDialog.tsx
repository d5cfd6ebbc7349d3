import { type FormEvent, useState } from "react";
import { useLocation } from "wouter";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import { Field } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { beginDraft, NOT_KEPT } from "./begin";
import { STARTERS } from "./starters";
import styles from "./starters.module.css";

export function NewAppDialog({ userId, onClose }: { userId: string; onClose: () => void }) {
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState(STARTERS[0]);
  const [failed, setFailed] = useState(false);
  const [told, setTold] = useState(false);
  const [, navigate] = useLocation();
  function submit(event: FormEvent): void {
    event.preventDefault();
    setTold(true);
    if (name.trim() === "" || !chosen) return;
    const address = beginDraft(userId, chosen, name.trim());
    if (address) navigate(address);
    else setFailed(true);
  }
  return (
    <Dialog title="New app" onClose={onClose}>
      <form className={styles.form} onSubmit={submit} noValidate>
        {failed ? (
          <Notice kind="danger" role="alert">
            {NOT_KEPT}
          </Notice>
        ) : null}
        <Field
          label="App name"
          autoComplete="off"
          maxLength={60}
          error={told && name.trim() === "" ? "Give the app a name." : undefined}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <fieldset className={styles.radios}>
          <legend>Start from</legend>
          {STARTERS.map((starter) => (
            <label key={starter.id}>
              <input
                type="radio"
                name="starter"
                checked={starter === chosen}
                onChange={() => setChosen(starter)}
              />
              <span>
                <strong>{starter.title}</strong>
                <span>{starter.about}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit">
            Create
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}
