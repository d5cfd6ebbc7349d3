import { expect, it } from "vitest";
import { leaving, leavingMeans, leavingSentence, leavingShort } from "./leaving";

const now = Date.parse("2026-01-10T12:00:00Z");
const at = (hours: number) => new Date(now + hours * 3_600_000).toISOString();

it("says nothing of an app that has no limit", () => {
  expect(leaving({ expires_at: null }, now, 24)).toBeUndefined();
  expect(leaving({ expires_at: null, hibernates_at: null }, now, 24)).toBeUndefined();
});

it("tells what comes first", () => {
  const dates = { hibernates_at: at(5), expires_at: at(20) };
  expect(leaving(dates, now, 24)).toEqual({ what: "asleep", at: at(5), soon: false });
  expect(leaving({ ...dates, hibernates_at: null }, now, 24)).toMatchObject({ what: "removed" });
});

it.each([
  [24, 2.9, true],
  [24, 3.1, false],
  [8, 0.9, true],
  [8, 1.1, false],
  [24, -1, true],
])("with %d idle hours, %d hours are soon: %s", (idle, left, soon) => {
  expect(leaving({ expires_at: at(left) }, now, idle)?.soon).toBe(soon);
});

it("speaks of sleep and of removal in different words", () => {
  const sleeps = { what: "asleep", at: at(2), soon: true } as const;
  const goes = { what: "removed", at: at(-1), soon: true } as const;
  expect(leavingShort(sleeps, now)).toBe("Asleep in 2 hours");
  expect(leavingShort(goes, now)).toBe("Removed any moment");
  expect(leavingSentence(sleeps, now)).toBe(
    "This app is put to sleep in 2 hours unless somebody uses it.",
  );
  expect(leavingMeans(sleeps)).toContain("wakes it again");
  expect(leavingMeans(goes)).toContain("restored");
});
