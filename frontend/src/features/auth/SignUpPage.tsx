import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link, useLocation } from "wouter";
import { answer, http } from "../../api/client";
import { fieldErrorsOf, toApiError } from "../../api/errors";
import { metaQuery } from "../../api/queries";
import { begin } from "../../api/session";
import { PageLoading } from "../../app/PageLoading";
import { Button } from "../../ui/Button";
import { Field } from "../../ui/Field";
import { ErrorNotice, Notice } from "../../ui/Notice";
import { AuthLayout } from "./AuthLayout";
import styles from "./auth.module.css";

export function SignUpPage() {
  const { data: meta, error } = useQuery(metaQuery);
  return (
    <AuthLayout title="Sign up">
      {error ? <ErrorNotice error={toApiError(error)} /> : null}
      {!meta && !error ? <PageLoading /> : null}
      {meta?.signup === "closed" ? (
        <Notice title="Sign-up is closed here.">
          Ask the person who runs this platform for an account.
        </Notice>
      ) : null}
      {meta && meta.signup !== "closed" ? (
        <SignUpForm byInvitation={meta.signup === "invite"} />
      ) : null}
      <p className={styles.other}>
        Have an account? <Link href="/login">Log in</Link>
      </p>
    </AuthLayout>
  );
}

function SignUpForm({ byInvitation }: { byInvitation: boolean }) {
  const [, navigate] = useLocation();
  const [form, setForm] = useState({ username: "", email: "", password: "", invitation: "" });
  const signUp = useMutation({
    mutationFn: async () => {
      const { invitation, ...account } = form;
      const body = byInvitation ? { ...account, invitation: invitation.trim() } : account;
      await answer(http.POST("/api/auth/signup", { body }));
      const { username, password } = account;
      return answer(http.POST("/api/auth/login", { body: { username, password } }));
    },
    onSuccess: ({ access_token }) => {
      navigate("/", { replace: true });
      begin(access_token);
    },
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    if (!signUp.isPending) signUp.mutate();
  }
  const error = signUp.error ? toApiError(signUp.error) : undefined;
  const wrong = fieldErrorsOf(error);
  const set = (name: keyof typeof form) => ({
    error: wrong[name],
    value: form[name],
    onChange: (event: { target: { value: string } }) =>
      setForm({ ...form, [name]: event.target.value }),
  });
  return (
    <form className={styles.fields} onSubmit={submit}>
      {error ? <ErrorNotice error={error} /> : null}
      {byInvitation ? (
        <Field
          label="Invitation code"
          help="From the person who invited you."
          autoComplete="off"
          spellCheck={false}
          required
          {...set("invitation")}
        />
      ) : null}
      <Field
        label="Username"
        help="3 to 32 letters, digits, “.”, “_” or “-”. It signs your commits."
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        required
        {...set("username")}
      />
      <Field label="Email" type="email" autoComplete="email" required {...set("email")} />
      <Field
        label="Password"
        type="password"
        help="At least 10 characters; four unrelated words make a good one."
        autoComplete="new-password"
        required
        {...set("password")}
      />
      <Button type="submit" look="primary" busy={signUp.isPending}>
        Sign up
      </Button>
    </form>
  );
}
