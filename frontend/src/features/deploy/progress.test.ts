import { expect, it } from "vitest";
import { ApiError } from "../../api/errors";
import type { DeployStatus } from "../../api/types";
import {
  NO_PROGRESS,
  type ProgressEvent,
  reduceProgress,
  sentence,
  stagesOf,
  timeToLive,
} from "./progress";

const starting: DeployStatus = {
  stage: "starting",
  progress: 70,
  message: "Starting your app.",
  commit: "c1",
  error: null,
  stages: [
    {
      name: "validated",
      state: "done",
      started_at: "2026-01-01T12:00:00Z",
      finished_at: "2026-01-01T12:00:00.200Z",
      detail: "",
    },
    {
      name: "live",
      state: "pending",
      started_at: null,
      finished_at: null,
      detail: "",
    },
  ],
};
const error = new ApiError(0, "offline", "The platform cannot be reached.", "");

function reached(...events: ProgressEvent[]) {
  return events.reduce(reduceProgress, NO_PROGRESS);
}

it("shows six stages before the first word from the platform", () => {
  const sent = reached({ type: "sent", action: "deploy" });
  expect(stagesOf(sent).map(({ state }) => state)).toEqual(["active", ...Array(5).fill("pending")]);
  expect(sentence(sent)).toBe("Sending your files…");
});

it("speaks in the platform's words once it has spoken", () => {
  const told = reached({ type: "accepted" }, { type: "status", status: starting, via: "stream" });
  expect(told.phase).toBe("following");
  expect(sentence(told)).toBe("Starting your app.");
  expect(stagesOf(told)).toBe(starting.stages);
});

it("says so when it cannot be reached, and forgets it with the next news", () => {
  const cut = reached(
    { type: "status", status: starting, via: "stream" },
    { type: "unreachable", error },
  );
  expect(sentence(cut)).toContain("cannot be reached");
  const back = reduceProgress(cut, { type: "status", status: starting, via: "polling" });
  expect(back).toMatchObject({ trouble: undefined, via: "polling" });
});

it.each(["live", "failed", "superseded"] as const)("ends when %s", (stage) => {
  const status = { ...starting, stage };
  expect(reached({ type: "status", status, via: "stream" }).phase).toBe("ended");
});

it("a new deploy leaves nothing of the last one behind", () => {
  const again = reached(
    { type: "status", status: { ...starting, stage: "failed" }, via: "stream" },
    { type: "refused", error },
    { type: "sent", action: "restart" },
  );
  expect(again).toEqual({ ...NO_PROGRESS, phase: "sending", action: "restart" });
});

it("a refused deploy changed nothing, and says so", () => {
  const refused = reached({ type: "sent", action: "deploy" }, { type: "refused", error });
  expect(refused.phase).toBe("ended");
  expect(sentence(refused)).toBe("Not deployed. Nothing was changed.");
});

it("a failure says where, and that the old version keeps serving, and the error only once", () => {
  const message = "ZeroDivisionError: division by zero";
  const error = { stage: "starting", reason: "import_failed", message, hint: "" };
  const kept = {
    ...starting,
    stage: "failed" as const,
    error,
    message: `${message}. It keeps serving.`,
  };
  const failed = reached({ type: "status", status: kept, via: "stream" });
  expect(sentence(failed)).toBe("Failed at Starting. It keeps serving.");
  const held = { ...kept, message: "Held: the check refuses it." };
  expect(sentence(reached({ type: "status", status: held, via: "stream" }))).toBe(held.message);
});

it("tells how long it took only when it is live", () => {
  const [first, last] = starting.stages;
  if (!first || !last) throw new Error("two stages");
  const finished = { ...last, finished_at: "2026-01-01T12:00:01.500Z" };
  expect(timeToLive(starting)).toBeNull();
  expect(timeToLive({ ...starting, stage: "live", stages: [first, finished] })).toBe(1500);
});
