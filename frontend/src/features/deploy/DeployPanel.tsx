import {
  BookOpen,
  Circle,
  CircleCheck,
  CircleMinus,
  CircleX,
  ExternalLink,
  LoaderCircle,
} from "lucide-react";
import type { ReactNode } from "react";
import type { DeployStatus, LogLine, Stage } from "../../api/types";
import { ButtonLink } from "../../ui/Button";
import { ErrorNotice, Notice } from "../../ui/Notice";
import { Prose } from "../../ui/Prose";
import { duration } from "../../ui/time";
import styles from "./deploy.module.css";
import { type Progress, STAGES, sentence, stagesOf, timeToLive } from "./progress";

const MARKS = {
  pending: { Icon: Circle, text: "waiting" },
  active: { Icon: LoaderCircle, text: "in progress" },
  done: { Icon: CircleCheck, text: "done" },
  failed: { Icon: CircleX, text: "failed" },
  skipped: { Icon: CircleMinus, text: "skipped" },
};

/** Where the newest deploy stands: six stages, one sentence, and what to do when it failed. */
export function DeployPanel({
  progress,
  url,
  lastLines,
  onGoTo,
}: {
  progress: Progress;
  url: string | undefined;
  lastLines: LogLine[] | undefined;
  onGoTo: (path: string, line: number) => void;
}) {
  const { phase, status, refused } = progress;
  if (phase === "none") {
    return (
      <div className={styles.panel}>
        <p role="status" className={styles.empty}>
          Nothing deployed yet. Press Deploy, and every step to your own URL shows here.
        </p>
      </div>
    );
  }
  return (
    <div className={styles.panel}>
      <StatusLine progress={progress} />
      <Strip progress={progress} />
      {refused ? <ErrorNotice error={refused} /> : null}
      {status?.error ? <Failure error={status.error} lines={lastLines} onGoTo={onGoTo} /> : null}
      {status?.stage === "live" && url ? <Open url={url} /> : null}
    </div>
  );
}

function StatusLine({ progress }: { progress: Progress }) {
  const { status, via, phase } = progress;
  const took = status ? timeToLive(status) : null;
  return (
    <p className={styles.sentence}>
      <span role="status" aria-label="Deploy status">
        <Prose text={sentence(progress)} />
      </span>
      {took === null ? null : <span className={styles.took}>{duration(took)}</span>}
      {status ? <code title={status.commit}>{status.commit.slice(0, 8)}</code> : null}
      {phase === "following" && via === "polling" ? (
        <span className={styles.took}>asking every few seconds</span>
      ) : null}
    </p>
  );
}

function Strip({ progress }: { progress: Progress }) {
  const done = progress.status?.progress ?? 0;
  return (
    <>
      {/* Beside the list, not around it: what is inside a progressbar is hidden from readers. */}
      <div
        role="progressbar"
        aria-label="Progress of the deploy"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={done}
        aria-valuetext={sentence(progress)}
        className={styles.bar}
        data-stage={progress.status?.stage}
      >
        <div style={{ width: `${done}%` }} />
      </div>
      <ol aria-label="Deploy progress" className={styles.stages}>
        {stagesOf(progress).map((stage) => (
          <StageItem key={stage.name} stage={stage} />
        ))}
      </ol>
    </>
  );
}

function StageItem({ stage }: { stage: Stage }) {
  const { Icon, text } = MARKS[stage.state];
  const known = STAGES.find(({ name }) => name === stage.name);
  const took =
    stage.started_at && stage.finished_at
      ? Date.parse(stage.finished_at) - Date.parse(stage.started_at)
      : undefined;
  return (
    <li
      className={styles.stage}
      data-stage={stage.name}
      data-state={stage.state}
      title={stage.detail || known?.about}
      aria-current={stage.state === "active" ? "step" : undefined}
    >
      <Icon aria-hidden />
      <span className={styles.name}>{known?.title ?? stage.name}</span>
      <span className="visually-hidden">: {text}</span>
      {took === undefined ? null : <span className={styles.took}>{duration(took)}</span>}
    </li>
  );
}

function Failure({
  error,
  lines,
  onGoTo,
}: {
  error: NonNullable<DeployStatus["error"]>;
  lines: LogLine[] | undefined;
  onGoTo: (path: string, line: number) => void;
}) {
  const { path, line } = error;
  let place: ReactNode;
  if (path) {
    const shown = line ? `${path}, line ${line}` : path;
    place = (
      <button type="button" className={styles.place} onClick={() => onGoTo(path, line ?? 1)}>
        {shown}
      </button>
    );
  }
  return (
    <>
      <Notice kind="danger" title={<Prose text={error.message} />}>
        <Prose text={error.hint} /> {place ? <>Go to {place}.</> : null}
      </Notice>
      {lines && lines.length > 0 ? (
        <figure className={styles.lines}>
          <figcaption>Last lines of its log</figcaption>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long lines scroll by keyboard too */}
          <pre tabIndex={0}>{lines.map(({ text }) => text).join("\n")}</pre>
        </figure>
      ) : null}
    </>
  );
}

function Open({ url }: { url: string }) {
  return (
    <div className={styles.open}>
      <ButtonLink
        small
        look="primary"
        href={url}
        target="_blank"
        rel="noopener noreferrer"
        icon={<ExternalLink aria-hidden />}
      >
        Open app
      </ButtonLink>
      <ButtonLink
        small
        href={`${url}docs`}
        target="_blank"
        rel="noopener noreferrer"
        icon={<BookOpen aria-hidden />}
      >
        Open docs
      </ButtonLink>
      <a className={styles.url} href={url} target="_blank" rel="noopener noreferrer">
        {url}
      </a>
    </div>
  );
}
