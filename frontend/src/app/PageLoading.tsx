import { LoaderCircle } from "lucide-react";
import styles from "./layout.module.css";

export function PageLoading({ text = "Loading…" }: { text?: string }) {
  return (
    <div className={styles.loading} role="status">
      <LoaderCircle aria-hidden />
      {text}
    </div>
  );
}
