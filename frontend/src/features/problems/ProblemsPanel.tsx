import { Check, CircleX, TriangleAlert } from "lucide-react";
import type { Diagnostic } from "../../api/types";
import { Prose } from "../../ui/Prose";
import type { Place } from "../editor/CodeEditor";
import type { Checked } from "../editor/useValidation";
import styles from "./problems.module.css";

/** What the source check says, each with its place as a link and what to do about it. */
export function ProblemsPanel({
  checked,
  onGoTo,
}: {
  checked: Checked;
  onGoTo: (place: Place) => void;
}) {
  const { diagnostics, state } = checked;
  if (diagnostics.length === 0) {
    return (
      <p className={styles.none}>
        {state === "unavailable" ? (
          "The check cannot be reached; deploying checks again."
        ) : (
          <>
            <Check aria-hidden /> No problems found.
          </>
        )}
      </p>
    );
  }
  return (
    <ul className={styles.list} aria-label="Problems">
      {diagnostics.map((diagnostic) => (
        <li key={`${diagnostic.path}:${diagnostic.line}:${diagnostic.column}:${diagnostic.code}`}>
          <Problem diagnostic={diagnostic} onGoTo={onGoTo} />
        </li>
      ))}
    </ul>
  );
}

function Problem({
  diagnostic,
  onGoTo,
}: {
  diagnostic: Diagnostic;
  onGoTo: (place: Place) => void;
}) {
  const { path, line, column, severity, message, hint } = diagnostic;
  const isError = severity === "error";
  const Icon = isError ? CircleX : TriangleAlert;
  return (
    <button type="button" className={styles.problem} onClick={() => onGoTo({ path, line, column })}>
      <Icon aria-hidden className={isError ? styles.error : styles.warning} />
      <span className="visually-hidden">{isError ? "Error: " : "Warning: "}</span>
      <span className={styles.text}>
        <span>
          <Prose text={message} />
        </span>
        {hint ? (
          <span className={styles.hint}>
            <Prose text={hint} />
          </span>
        ) : null}
      </span>
      <span className={styles.place}>
        {path}:{line}:{column}
      </span>
    </button>
  );
}
