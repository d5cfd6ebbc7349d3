import {
  ChevronDown,
  CircleX,
  ListTree,
  LoaderCircle,
  Rocket,
  ScrollText,
  TriangleAlert,
} from "lucide-react";
import { type KeyboardEvent, type ReactNode, useRef } from "react";
import type { App, LogLine } from "../../api/types";
import { Button } from "../../ui/Button";
import { DeployPanel } from "../deploy/DeployPanel";
import type { Progress } from "../deploy/progress";
import { LogPanel } from "../logs/LogPanel";
import { ProblemsPanel } from "../problems/ProblemsPanel";
import type { Place } from "./CodeEditor";
import { counts } from "./markers";
import styles from "./panel.module.css";
import type { Checked } from "./useValidation";

/** How the newest deploy stands, also while its panel is closed. */
function DeployMark({ progress }: { progress: Progress }) {
  const { phase, status, refused } = progress;
  if (phase === "sending" || phase === "following") {
    return <LoaderCircle className={styles.busy} aria-label="Under way:" />;
  }
  if (refused || status?.stage === "failed") {
    return <CircleX className={styles.errors} aria-label="Failed:" />;
  }
  return <Rocket aria-hidden />;
}

export type PanelName = "deploy" | "problems" | "log" | undefined;
const NAMES = ["deploy", "problems", "log"] as const;

/** Progress, problems and log below the code; one at a time, or none. */
export function BottomPanel({
  open,
  onOpen,
  progress,
  checked,
  app,
  lastLines,
  onGoTo,
}: {
  open: PanelName;
  onOpen: (panel: PanelName) => void;
  progress: Progress;
  checked: Checked;
  app: App | undefined;
  lastLines: LogLine[] | undefined;
  onGoTo: (place: Place) => void;
}) {
  const list = useRef<HTMLDivElement>(null);
  const { errors, warnings } = counts(checked.diagnostics);
  const labels: Record<(typeof NAMES)[number], ReactNode> = {
    deploy: (
      <>
        <DeployMark progress={progress} /> Deploy
      </>
    ),
    problems: (
      <>
        <ListTree aria-hidden /> Problems
        {errors > 0 ? (
          <span className={styles.errors}>
            <CircleX aria-hidden /> {errors}
            <span className="visually-hidden"> errors</span>
          </span>
        ) : null}
        {warnings > 0 ? (
          <span className={styles.warnings}>
            <TriangleAlert aria-hidden /> {warnings}
            <span className="visually-hidden"> warnings</span>
          </span>
        ) : null}
      </>
    ),
    log: (
      <>
        <ScrollText aria-hidden /> Log
      </>
    ),
  };

  function move(event: KeyboardEvent, at: number): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = NAMES.at((at + step) % NAMES.length);
    onOpen(next);
    list.current?.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
  }

  return (
    <section
      className={styles.panel}
      data-open={open !== undefined}
      aria-label="Deploy, problems and log"
    >
      <div className={styles.head}>
        <div ref={list} role="tablist" aria-label="Panels" className={styles.tabs}>
          {NAMES.map((name, at) => (
            <button
              key={name}
              id={`tab-${name}`}
              type="button"
              role="tab"
              aria-selected={open === name}
              aria-controls={open === name ? "panel" : undefined}
              tabIndex={open === name || (open === undefined && at === 0) ? 0 : -1}
              onKeyDown={(event) => move(event, at)}
              onClick={() => onOpen(open === name ? undefined : name)}
            >
              {labels[name]}
            </button>
          ))}
        </div>
        {open === undefined ? null : (
          <Button
            look="quiet"
            small
            icon={<ChevronDown aria-hidden />}
            aria-label="Hide the panel"
            title="Hide the panel"
            onClick={() => onOpen(undefined)}
          />
        )}
      </div>
      {open === undefined ? null : (
        <div
          id="panel"
          role="tabpanel"
          aria-labelledby={`tab-${open}`}
          tabIndex={-1}
          className={styles.body}
        >
          {open === "deploy" ? (
            <DeployPanel
              progress={progress}
              url={app?.url}
              lastLines={lastLines}
              onGoTo={(path, line) => onGoTo({ path, line, column: 1 })}
            />
          ) : null}
          {open === "problems" ? <ProblemsPanel checked={checked} onGoTo={onGoTo} /> : null}
          {open === "log" ? <LogPanel appId={app?.app_id} /> : null}
        </div>
      )}
    </section>
  );
}
