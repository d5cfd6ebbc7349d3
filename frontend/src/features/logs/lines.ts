import type { LogLine } from "../../api/types";

/** As much as a person scrolls through; older lines fall off the top. */
export const MAX_LINES = 2_000;

/**
 * The lines with new ones behind them. A stream that was opened again starts with lines that are
 * here already: those that are not newer than the last one and known are left out.
 */
export function append(lines: readonly LogLine[], added: readonly LogLine[]): readonly LogLine[] {
  const last = lines.at(-1)?.at;
  if (last === undefined) return added.slice(-MAX_LINES);
  const known = new Set(lines.map(identity));
  const fresh = added.filter((line) => line.at > last || !known.has(identity(line)));
  return fresh.length === 0 ? lines : [...lines, ...fresh].slice(-MAX_LINES);
}

function identity({ at, pod, text }: LogLine): string {
  return `${at}\n${pod}\n${text}`;
}

export function isLogLine(value: unknown): value is LogLine {
  const line = value as Partial<LogLine> | null;
  return typeof line?.text === "string" && typeof line.at === "string";
}

/** "14:03:27", in the reader's own time. */
export function clock(at: string): string {
  return new Date(at).toLocaleTimeString(undefined, { hour12: false });
}
