import type { App } from "../../api/types";
import { exact, remaining } from "../../ui/time";

/** What becomes of an app that nobody uses, and when. */
export interface Leaving {
  what: "asleep" | "removed";
  at: string;
  /** It is near enough to be said aloud. */
  soon: boolean;
}

type Dates = Pick<App, "expires_at"> & { hibernates_at?: string | null };
const HOUR = 3_600_000;

/** The next thing that happens to an app without use; undefined when nothing does. */
export function leaving(app: Dates, now: number, idleHours: number): Leaving | undefined {
  const next: [Leaving["what"], string][] = [];
  if (app.hibernates_at) next.push(["asleep", app.hibernates_at]);
  if (app.expires_at) next.push(["removed", app.expires_at]);
  next.sort(([, one], [, other]) => Date.parse(one) - Date.parse(other));
  const [first] = next;
  if (!first) return undefined;
  const [what, at] = first;
  // Of a day three hours: long enough to act, too short to get used to it.
  return { what, at, soon: Date.parse(at) - now < (idleHours / 8) * HOUR };
}

/** "Asleep in 2 hours": how it stands on a card. */
export function leavingShort({ what, at }: Leaving, now: number): string {
  return `${what === "asleep" ? "Asleep" : "Removed"} ${within(at, now)}`;
}

/** A whole sentence, for a notice. */
export function leavingSentence({ what, at }: Leaving, now: number): string {
  const act = what === "asleep" ? "is put to sleep" : "is removed";
  return `This app ${act} ${within(at, now)} unless somebody uses it.`;
}

/** What it means, for a tooltip and below the sentence. */
export function leavingMeans({ what, at }: Leaving): string {
  const when = exact(at);
  return what === "asleep"
    ? `At ${when} it stops; whoever opens its address then wakes it again.`
    : `At ${when} it leaves the platform. Its code and history stay: for 30 days it can be restored here, and opening its address brings it back.`;
}

function within(at: string, now: number): string {
  const left = remaining(at, now);
  return left === "any moment" ? left : `in ${left}`;
}
