import { expect, it } from "vitest";
import { duration, relative, remaining } from "./time";

const now = Date.parse("2026-01-10T12:00:00Z");

it.each([
  ["2026-01-10T11:59:30Z", "just now"],
  ["2026-01-10T11:55:00Z", "5 minutes ago"],
  ["2026-01-09T12:00:00Z", "yesterday"],
  ["2025-12-01T12:00:00Z", "last month"],
])("%s is %s", (moment, words) => expect(relative(moment, now)).toBe(words));

it.each([
  ["2026-01-11T11:59:00Z", "23 hours"],
  ["2026-01-10T12:01:30Z", "1 minute"],
  ["2026-01-10T12:00:20Z", "less than a minute"],
  ["2026-01-10T11:00:00Z", "any moment"],
])("until %s there is %s", (moment, words) => expect(remaining(moment, now)).toBe(words));

it.each([
  [1440, "1.4 s"],
  [59_990, "1 min 0 s"],
  [125_000, "2 min 5 s"],
  [-5, "0.0 s"],
])("%d ms are %s", (milliseconds, words) => expect(duration(milliseconds)).toBe(words));
