import { type ApiError, toApiError } from "../../api/errors";
import type { DeployStatus } from "../../api/types";

export type Update =
  | { type: "status"; status: DeployStatus; via: "stream" | "polling" }
  | { type: "unreachable"; error: ApiError };

/** Where progress comes from; a value, so that tests can stand in for server and clock. */
export interface Sources {
  stream(signal: AbortSignal): AsyncIterable<DeployStatus>;
  poll(signal: AbortSignal): Promise<DeployStatus>;
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
}

const POLL_MS = 1_500;
const POLLS_BEFORE_STREAM = 4;
const LONGEST_WAIT_MS = 15_000;

export function hasEnded({ stage }: DeployStatus): boolean {
  return stage === "live" || stage === "failed" || stage === "superseded";
}

/** Answers that no patience changes: the session or the app is gone. */
function isFinal(error: ApiError): boolean {
  return [401, 403, 404, 410].includes(error.status);
}

/**
 * Progress of an app's newest deploy until it ends: from the event stream, from polling while the
 * stream cannot be had, and from the stream again. Throws ApiError when the app or session is gone.
 */
export async function* follow(sources: Sources, signal: AbortSignal): AsyncGenerator<Update> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      for await (const status of sources.stream(signal)) {
        failures = 0;
        yield { type: "status", status, via: "stream" };
        if (hasEnded(status)) return;
      }
    } catch (thrown) {
      if (signal.aborted) return;
      const error = toApiError(thrown);
      if (isFinal(error)) throw error;
    }
    for (let polls = 0; polls < POLLS_BEFORE_STREAM && !signal.aborted; polls += 1) {
      try {
        const status = await sources.poll(signal);
        failures = 0;
        yield { type: "status", status, via: "polling" };
        if (hasEnded(status)) return;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = toApiError(thrown);
        if (isFinal(error)) throw error;
        failures += 1;
        yield { type: "unreachable", error };
      }
      await sources.wait(Math.min(POLL_MS * 2 ** failures, LONGEST_WAIT_MS), signal);
    }
  }
}

/** Waits; returns early when it is called off. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
  });
}
