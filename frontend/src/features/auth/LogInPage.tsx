import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link, useLocation } from "wouter";
import { answer, http } from "../../api/client";
import { toApiError } from "../../api/errors";
import { metaQuery } from "../../api/queries";
import { begin, useSession } from "../../api/session";
import { Button } from "../../ui/Button";
import { Field } from "../../ui/Field";
import { ErrorNotice, Notice } from "../../ui/Notice";
import { AuthLayout } from "./AuthLayout";
import styles from "./auth.module.css";

const ENDED = {
  "logged-out": "You are logged out.",
  everywhere: "You are logged out everywhere.",
  expired: "Your session ended. Log in to go on where you were; your drafts are kept.",
};

export function LogInPage() {
  const { ended } = useSession();
  const { data: meta } = useQuery(metaQuery);
  const [path, navigate] = useLocation();
  const [form, setForm] = useState({ username: "", password: "" });
  const logIn = useMutation({
    mutationFn: () => answer(http.POST("/api/auth/login", { body: form })),
    onSuccess: ({ access_token }) => {
      // A link to an app that asked for a log-in first still leads there.
      if (path === "/login") navigate("/", { replace: true });
      begin(access_token);
    },
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    if (!logIn.isPending) logIn.mutate();
  }
  return (
    <AuthLayout title="Log in">
      {ended && !logIn.error ? <Notice role="status">{ENDED[ended]}</Notice> : null}
      {logIn.error ? <ErrorNotice error={toApiError(logIn.error)} /> : null}
      <form className={styles.fields} onSubmit={submit}>
        <Field
          label="Username"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          value={form.username}
          onChange={(event) => setForm({ ...form, username: event.target.value })}
        />
        <Field
          label="Password"
          type="password"
          autoComplete="current-password"
          required
          value={form.password}
          onChange={(event) => setForm({ ...form, password: event.target.value })}
        />
        <Button type="submit" look="primary" busy={logIn.isPending}>
          Log in
        </Button>
      </form>
      {meta?.signup === "closed" ? null : (
        <p className={styles.other}>
          No account yet? <Link href="/signup">Sign up</Link>
        </p>
      )}
    </AuthLayout>
  );
}
