import type { LogLine } from "../../api/types";

/** As much as a person scrolls through; older lines fall off the top. */
export const MAX_LINES = 2_000;

/**
 * The lines with new ones behind them. A stream that was opened again starts with lines that are
 * here already: those that are not newer than the last one and known are left out.
 */
export function append(lines: readonly LogLine[], added: readonly LogLine[]): readonly LogLine[] {
  const last = lines.at(-1)?.at ?? "";
  const known = new Set(lines.map(identity));
  const fresh = added
    .filter(isForPeople)
    .filter((line) => line.at > last || !known.has(identity(line)));
  return fresh.length === 0 ? lines : [...lines, ...fresh].slice(-MAX_LINES);
}

/** The runner's last line speaks to the platform, which tells it as the error of the deploy. */
function isForPeople({ text }: LogLine): boolean {
  return !text.startsWith("fastapi-platform: failed {");
}

/**
 * What the newest process had to say: the failed version's own lines, without those of the version
 * that keeps serving beside it.
 */
export function lastWords(lines: readonly LogLine[], count: number): LogLine[] {
  const pods = [...new Set(lines.map(({ pod }) => pod))];
  const newest = pods.at(-1);
  return lines.filter((line) => line.pod === newest && isForPeople(line)).slice(-count);
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
