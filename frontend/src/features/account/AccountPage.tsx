import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { answer, http } from "../../api/client";
import { fieldErrorsOf, toApiError } from "../../api/errors";
import { meQuery } from "../../api/queries";
import { begin } from "../../api/session";
import { Page } from "../../app/Page";
import { Button } from "../../ui/Button";
import { Field } from "../../ui/Field";
import { ErrorNotice } from "../../ui/Notice";
import { toast } from "../../ui/toasts";
import styles from "./account.module.css";
import { LogOutEverywhere } from "./LogOutEverywhere";

export function AccountPage() {
  const { data: me } = useQuery(meQuery);
  const [leaving, setLeaving] = useState(false);
  return (
    <Page title="Account" narrow>
      <section className={styles.card} aria-labelledby="who">
        <h2 id="who">You</h2>
        <dl className={styles.facts}>
          <dt>Username</dt>
          <dd>{me?.username ?? "…"}</dd>
          <dt>Email</dt>
          <dd>{me?.email ?? "…"}</dd>
          {me?.is_admin ? (
            <>
              <dt>Role</dt>
              <dd>Administrator</dd>
            </>
          ) : null}
        </dl>
      </section>
      <PasswordForm username={me?.username} />
      <section className={styles.card} aria-labelledby="sessions">
        <h2 id="sessions">Sessions</h2>
        <p className={styles.muted}>
          Used a shared computer, or lost one? End every session at once, this one too.
        </p>
        <div>
          <Button onClick={() => setLeaving(true)}>Log out everywhere…</Button>
        </div>
      </section>
      {leaving ? <LogOutEverywhere onClose={() => setLeaving(false)} /> : null}
    </Page>
  );
}

function PasswordForm({ username }: { username: string | undefined }) {
  const [form, setForm] = useState({ current: "", next: "" });
  const change = useMutation({
    mutationFn: () =>
      answer(
        http.POST("/api/auth/password", {
          body: { current_password: form.current, new_password: form.next },
        }),
      ),
    onSuccess: ({ access_token }) => {
      begin(access_token);
      setForm({ current: "", next: "" });
      toast("Password changed. Other sessions were logged out.");
    },
  });
  const error = change.error ? toApiError(change.error) : undefined;
  function submit(event: FormEvent): void {
    event.preventDefault();
    if (!change.isPending) change.mutate();
  }
  return (
    <section className={styles.card} aria-labelledby="password">
      <h2 id="password">Change password</h2>
      <form className={styles.form} onSubmit={submit}>
        {error ? <ErrorNotice error={error} /> : null}
        <input hidden readOnly autoComplete="username" value={username ?? ""} />
        <Field
          label="Current password"
          type="password"
          autoComplete="current-password"
          required
          value={form.current}
          onChange={(event) => setForm({ ...form, current: event.target.value })}
        />
        <Field
          label="New password"
          type="password"
          autoComplete="new-password"
          required
          help="At least 10 characters. Other sessions end; this one goes on."
          error={error && fieldErrorsOf(error).new_password}
          value={form.next}
          onChange={(event) => setForm({ ...form, next: event.target.value })}
        />
        <div>
          <Button type="submit" look="primary" busy={change.isPending}>
            Change password
          </Button>
        </div>
      </form>
    </section>
  );
}
