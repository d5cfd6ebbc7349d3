import { X } from "lucide-react";
import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { Button } from "./Button";
import styles from "./Dialog.module.css";

/**
 * A modal, on the browser's own <dialog>: it traps focus, closes with Escape and gives the focus
 * back to where it was. Mount it to open it.
 */
export function Dialog({
  title,
  children,
  wide = false,
  onClose,
}: {
  title: string;
  children: ReactNode;
  wide?: boolean;
  onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();

  // Before the element leaves the page: closing is what gives the focus back.
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // By itself the browser would choose the close button: the first field, or the safest act,
    // is what a person came for.
    element?.querySelector<HTMLElement>("input, select, [data-actions] button")?.focus();
    return () => element?.close();
  }, []);

  return (
    // Escape is the keyboard's way to do what a click on the backdrop does.
    // biome-ignore lint/a11y/useKeyWithClickEvents: a <dialog> handles Escape by itself
    <dialog
      ref={dialog}
      className={`${styles.dialog} ${wide ? styles.wide : ""}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className={styles.content}>
        <header className={styles.header}>
          <h2 id={heading}>{title}</h2>
          <Button
            look="quiet"
            small
            icon={<X aria-hidden />}
            aria-label="Close"
            onClick={onClose}
          />
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function DialogActions({ children }: { children: ReactNode }) {
  return (
    <div className={styles.actions} data-actions>
      {children}
    </div>
  );
}
