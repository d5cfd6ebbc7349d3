import {
  CircleCheck,
  CircleDashed,
  CircleSlash,
  CircleX,
  LoaderCircle,
  MoonStar,
  Trash2,
} from "lucide-react";
import type { AppState } from "../api/types";
import styles from "./StateBadge.module.css";

const STATES = {
  validating: { text: "Checking", tone: "busy", Icon: LoaderCircle },
  deploying: { text: "Deploying", tone: "busy", Icon: LoaderCircle },
  running: { text: "Running", tone: "ok", Icon: CircleCheck },
  failed: { text: "Failed", tone: "danger", Icon: CircleX },
  hibernated: { text: "Asleep", tone: "quiet", Icon: MoonStar },
  suspended: { text: "Suspended", tone: "warn", Icon: CircleSlash },
  removed: { text: "Removed", tone: "quiet", Icon: Trash2 },
  deleting: { text: "Deleting", tone: "busy", Icon: LoaderCircle },
  draft: { text: "Draft", tone: "quiet", Icon: CircleDashed },
} as const;

/** An app's state: always an icon of its own shape and a word, never a colour alone. */
export function StateBadge({ state }: { state: AppState | "draft" }) {
  const { text, tone, Icon } = STATES[state];
  return (
    <span className={`${styles.badge} ${styles[tone]}`} data-state={state}>
      <Icon aria-hidden className={Icon === LoaderCircle ? styles.spinning : undefined} />
      {text}
    </span>
  );
}
