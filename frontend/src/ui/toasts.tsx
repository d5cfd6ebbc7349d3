import { CircleAlert, CircleCheck, X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { Button } from "./Button";
import styles from "./toasts.module.css";

interface Toast {
  id: number;
  kind: "ok" | "danger";
  text: string;
}

const SHOWN_MS = 6_000;
let toasts: readonly Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

function change(to: readonly Toast[]): void {
  toasts = to;
  for (const listener of listeners) listener();
}

function dismiss(id: number): void {
  change(toasts.filter((toast) => toast.id !== id));
}

/** Says in passing that something was done; errors that need reading stand where they arose. */
export function toast(text: string, kind: Toast["kind"] = "ok"): void {
  const id = next++;
  change([...toasts.slice(-2), { id, kind, text }]);
  setTimeout(() => dismiss(id), SHOWN_MS);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div className={styles.region} aria-live="polite" aria-relevant="additions">
      {shown.map(({ id, kind, text }) => {
        const Icon = kind === "ok" ? CircleCheck : CircleAlert;
        return (
          <div key={id} className={styles.toast}>
            <Icon className={styles[kind]} aria-hidden />
            <span>{text}</span>
            <Button
              look="quiet"
              small
              icon={<X aria-hidden />}
              aria-label="Dismiss"
              onClick={() => dismiss(id)}
            />
          </div>
        );
      })}
    </div>
  );
}
