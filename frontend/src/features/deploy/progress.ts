import type { ApiError } from "../../api/errors";
import type { DeployStatus, Stage, StageName } from "../../api/types";
import { hasEnded, type Update } from "./follow";

/** What is known of the newest deploy. `status` may be of a deploy that somebody else made. */
export interface Progress {
  phase: "none" | "sending" | "following" | "ended";
  action: "deploy" | "restart";
  status: DeployStatus | undefined;
  /** The platform did not take it; nothing was changed. */
  refused: ApiError | undefined;
  /** Progress cannot be read at the moment; the deploy itself goes on. */
  trouble: ApiError | undefined;
  via: "stream" | "polling";
}

export type ProgressEvent =
  | { type: "sent"; action: Progress["action"] }
  | { type: "accepted" }
  | { type: "refused"; error: ApiError | undefined }
  | { type: "lost"; error: ApiError }
  | { type: "forget" }
  | Update;

export const NO_PROGRESS: Progress = {
  phase: "none",
  action: "deploy",
  status: undefined,
  refused: undefined,
  trouble: undefined,
  via: "stream",
};

export function reduceProgress(state: Progress, event: ProgressEvent): Progress {
  switch (event.type) {
    case "sent":
      return { ...NO_PROGRESS, phase: "sending", action: event.action };
    case "accepted":
      return { ...state, phase: "following" };
    case "refused":
      return { ...state, phase: "ended", refused: event.error };
    case "lost":
      return { ...state, phase: "ended", trouble: event.error };
    case "forget":
      return NO_PROGRESS;
    case "unreachable":
      return { ...state, trouble: event.error };
    case "status":
      return {
        ...state,
        phase: hasEnded(event.status) ? "ended" : "following",
        status: event.status,
        trouble: undefined,
        via: event.via,
      };
  }
}

export const STAGES: readonly { name: StageName; title: string; about: string }[] = [
  { name: "validated", title: "Validated", about: "The code was checked." },
  { name: "committed", title: "Committed", about: "Your change is a commit and is published." },
  { name: "fetched", title: "Fetched", about: "The cluster has the commit." },
  { name: "applied", title: "Applied", about: "The cluster wants this version." },
  { name: "starting", title: "Starting", about: "Your app is being started." },
  { name: "live", title: "Live", about: "Its address answers with this version." },
];

/** All six stages, also before the first word from the platform. */
export function stagesOf({ phase, status }: Progress): Stage[] {
  if (status) return status.stages;
  return STAGES.map(({ name }, index) => ({
    name,
    state: phase === "sending" && index === 0 ? "active" : "pending",
    started_at: null,
    finished_at: null,
    detail: "",
  }));
}

/** How long it took from the first stage to the last, in milliseconds; null until it is live. */
export function timeToLive(status: DeployStatus): number | null {
  const times = status.stages
    .flatMap(({ started_at, finished_at }) => [started_at, finished_at])
    .filter((time) => time !== null)
    .map((time) => Date.parse(time));
  return status.stage === "live" && times.length > 1
    ? Math.max(...times) - Math.min(...times)
    : null;
}

/** A failure in one line; the error itself is told below it, so it is not said twice. */
function failure(message: string, error: NonNullable<DeployStatus["error"]>): string {
  if (!message.startsWith(error.message)) return message;
  const stage = STAGES.find(({ name }) => name === error.stage)?.title ?? error.stage;
  return `Failed at ${stage}. ${message.slice(error.message.length).replace(/^[.\s]+/, "")}`.trim();
}

/** The one line that says where it stands; it is read out when it changes. */
export function sentence({ phase, action, status, refused, trouble }: Progress): string {
  if (refused) return "Not deployed. Nothing was changed.";
  if (phase === "sending")
    return action === "restart" ? "Asking for a restart…" : "Sending your files…";
  if (trouble && phase !== "ended") {
    return "The platform cannot be reached; the deploy goes on without us. Trying again…";
  }
  if (trouble) return trouble.message;
  if (status?.error) return failure(status.message, status.error);
  return status?.message ?? (phase === "following" ? "Waiting for the first news…" : "");
}
