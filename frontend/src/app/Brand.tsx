import { Link } from "wouter";
import styles from "./layout.module.css";

export function Brand({ compact = false }: { compact?: boolean }) {
  return (
    <Link href="/" className={styles.brand} aria-label="FastAPI Platform, your apps">
      <img src="/mark.svg" alt="" width={26} height={26} />
      {compact ? null : <span>FastAPI Platform</span>}
    </Link>
  );
}
