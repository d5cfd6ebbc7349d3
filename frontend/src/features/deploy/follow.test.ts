import { describe, expect, it } from "vitest";
import { ApiError } from "../../api/errors";
import type { DeployStatus } from "../../api/types";
import { follow, pause, type Sources, type Update } from "./follow";

function status(stage: DeployStatus["stage"]): DeployStatus {
  return { stage, progress: 0, message: stage, commit: "c1", stages: [], error: null };
}

const offline = new ApiError(0, "offline", "The platform cannot be reached.", "");
const gone = new ApiError(404, "not_found", "There is no such app.", "");

/** Each call of the stream or of a poll plays the next of its scripts. */
function scripted(
  streams: (DeployStatus | ApiError)[][],
  polls: (DeployStatus | ApiError)[] = [],
): Sources & { waits: number[] } {
  const waits: number[] = [];
  return {
    waits,
    async *stream() {
      for (const item of streams.shift() ?? [offline]) {
        if (item instanceof ApiError) throw item;
        yield item;
      }
    },
    async poll() {
      const item = polls.shift() ?? offline;
      if (item instanceof ApiError) throw item;
      return item;
    },
    async wait(milliseconds) {
      waits.push(milliseconds);
    },
  };
}

async function collected(sources: Sources, limit = 50): Promise<string[]> {
  const controller = new AbortController();
  const seen: string[] = [];
  for await (const update of follow(sources, controller.signal)) {
    seen.push(describeUpdate(update));
    if (seen.length >= limit) controller.abort();
  }
  return seen;
}

function describeUpdate(update: Update): string {
  return update.type === "status" ? `${update.via} ${update.status.stage}` : update.type;
}

describe("following a deploy", () => {
  it("reads the stream to its end and asks nothing else", async () => {
    const sources = scripted([[status("committed"), status("starting"), status("live")]]);
    expect(await collected(sources)).toEqual([
      "stream committed",
      "stream starting",
      "stream live",
    ]);
    expect(sources.waits).toEqual([]);
  });

  it.each(["failed", "superseded"] as const)("ends when the deploy is %s", async (stage) => {
    expect(await collected(scripted([[status(stage), status("live")]]))).toEqual([
      `stream ${stage}`,
    ]);
  });

  it("polls when there is no stream", async () => {
    const sources = scripted([[offline]], [status("fetched"), status("live")]);
    expect(await collected(sources)).toEqual(["polling fetched", "polling live"]);
  });

  it("goes back to the stream after a while", async () => {
    const polls = Array.from({ length: 4 }, () => status("starting"));
    const sources = scripted([[status("applied"), offline], [status("live")]], [...polls]);
    expect(await collected(sources)).toEqual([
      "stream applied",
      ...polls.map(() => "polling starting"),
      "stream live",
    ]);
  });

  it("goes on when a proxy cuts the stream short without an error", async () => {
    const sources = scripted([[status("applied")]], [status("live")]);
    expect(await collected(sources)).toEqual(["stream applied", "polling live"]);
  });

  it("says that nothing can be reached, waits longer each time, and recovers", async () => {
    const sources = scripted([[offline]], [offline, offline, offline, status("live")]);
    expect(await collected(sources)).toEqual([
      "unreachable",
      "unreachable",
      "unreachable",
      "polling live",
    ]);
    expect(sources.waits).toEqual([3000, 6000, 12000]);
  });

  it.each([
    ["stream", scripted([[gone]])],
    ["poll", scripted([[offline]], [gone])],
  ])("throws when the %s says that the app is gone", async (_, sources) => {
    await expect(collected(sources)).rejects.toBe(gone);
  });

  it("stops when it is told to", async () => {
    expect(await collected(scripted([[offline]], []), 2)).toEqual(["unreachable", "unreachable"]);
  });
});

it("a pause that is called off ends at once", async () => {
  const controller = new AbortController();
  const paused = pause(60_000, controller.signal);
  controller.abort();
  await paused;
  await pause(60_000, controller.signal);
});
