import { type ComponentProps, type ReactNode, useId } from "react";
import styles from "./Field.module.css";

/** A labelled text box; help and error are read out with it. */
export function Field({
  label,
  help,
  error,
  className,
  ...input
}: { label: string; help?: ReactNode; error?: string } & ComponentProps<"input">) {
  const id = useId();
  return (
    <div className={`${styles.field} ${className ?? ""}`}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className={styles.input}
        aria-invalid={error ? true : undefined}
        aria-describedby={help || error ? `${id}-about` : undefined}
        {...input}
      />
      {help || error ? (
        <p id={`${id}-about`} className={error ? styles.error : styles.help}>
          {error ?? help}
        </p>
      ) : null}
    </div>
  );
}
