import { CircleAlert, CircleCheck, Info, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import type { ApiError } from "../api/errors";
import styles from "./Notice.module.css";
import { Prose } from "./Prose";

type Kind = "info" | "ok" | "warn" | "danger";
const ICONS = { info: Info, ok: CircleCheck, warn: TriangleAlert, danger: CircleAlert };

/** Something a person should know, said calmly; `role="alert"` only where it answers an act. */
export function Notice({
  kind = "info",
  title,
  children,
  actions,
  role,
}: {
  kind?: Kind;
  title?: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
  role?: "alert" | "status";
}) {
  const Icon = ICONS[kind];
  return (
    <div className={`${styles.notice} ${styles[kind]}`} role={role}>
      <Icon className={styles.icon} aria-hidden />
      <div className={styles.body}>
        {title ? <strong>{title}</strong> : null}
        {children ? <div>{children}</div> : null}
      </div>
      {actions ? <div className={styles.actions}>{actions}</div> : null}
    </div>
  );
}

/** What the API said went wrong, and what to do next. */
export function ErrorNotice({ error, actions }: { error: ApiError; actions?: ReactNode }) {
  return (
    <Notice kind="danger" role="alert" title={<Prose text={error.message} />} actions={actions}>
      <Prose text={error.hint} />
    </Notice>
  );
}
