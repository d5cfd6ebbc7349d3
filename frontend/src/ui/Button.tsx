import { LoaderCircle } from "lucide-react";
import type { ComponentProps, ReactNode } from "react";
import styles from "./Button.module.css";

type Look = "primary" | "secondary" | "quiet" | "danger";

interface Appearance {
  look?: Look;
  small?: boolean;
  icon?: ReactNode;
}

function classes({ look = "secondary", small }: Appearance, bare: boolean, extra?: string): string {
  return [styles.button, styles[look], small && styles.small, bare && styles.bare, extra]
    .filter(Boolean)
    .join(" ");
}

/** `busy` keeps the button focusable and its name, and tells assistive technology to wait. */
export function Button({
  look,
  small,
  icon,
  busy = false,
  children,
  className,
  onClick,
  ...rest
}: Appearance & ComponentProps<"button"> & { busy?: boolean }) {
  return (
    <button
      type="button"
      className={classes({ look, small }, children === undefined, className)}
      aria-busy={busy || undefined}
      aria-disabled={busy || undefined}
      onClick={busy ? (event) => event.preventDefault() : onClick}
      {...rest}
    >
      {busy ? <LoaderCircle className={styles.spinner} aria-hidden /> : icon}
      {children}
    </button>
  );
}

/** A link that looks like a button: it goes somewhere, so it stays a link. */
export function ButtonLink({
  look,
  small,
  icon,
  children,
  className,
  ...rest
}: Appearance & ComponentProps<"a">) {
  return (
    <a className={classes({ look, small }, children === undefined, className)} {...rest}>
      {icon}
      {children}
    </a>
  );
}
