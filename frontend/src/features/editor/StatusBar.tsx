import { Check, CircleX, LoaderCircle, TriangleAlert, Unplug } from "lucide-react";
import { counts } from "./markers";
import styles from "./statusbar.module.css";
import type { Checked } from "./useValidation";

/** The line below everything: what the check says, and how the keyboard gets out of the code. */
export function StatusBar({
  checked,
  tabMovesFocus,
  onProblems,
}: {
  checked: Checked;
  tabMovesFocus: boolean;
  onProblems: () => void;
}) {
  return (
    <footer className={styles.bar}>
      <button type="button" className={styles.check} onClick={onProblems}>
        <Verdict checked={checked} />
      </button>
      <span className={styles.keys}>
        {tabMovesFocus ? (
          "Tab leaves the code"
        ) : (
          <>
            Tab indents; <kbd>Esc</kbd> <kbd>Tab</kbd> leaves, <kbd>Ctrl M</kbd> switches
          </>
        )}
      </span>
    </footer>
  );
}

function Verdict({ checked }: { checked: Checked }) {
  const { errors, warnings } = counts(checked.diagnostics);
  if (checked.state === "unavailable") {
    return (
      <>
        <Unplug aria-hidden /> Not checked: the platform cannot be reached
      </>
    );
  }
  if (checked.state === "checking" && errors + warnings === 0) {
    return (
      <>
        <LoaderCircle aria-hidden className={styles.busy} /> Checking…
      </>
    );
  }
  if (errors > 0) {
    return (
      <span className={styles.errors}>
        <CircleX aria-hidden /> {errors} {errors === 1 ? "error" : "errors"}
      </span>
    );
  }
  if (warnings > 0) {
    return (
      <span className={styles.warnings}>
        <TriangleAlert aria-hidden /> {warnings} {warnings === 1 ? "warning" : "warnings"}
      </span>
    );
  }
  return (
    <>
      <Check aria-hidden className={styles.fine} /> No problems
    </>
  );
}
