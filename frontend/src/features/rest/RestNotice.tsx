import { MoonStar, Pin } from "lucide-react";
import type { App, Deploy } from "../../api/types";
import { Button } from "../../ui/Button";
import { ErrorNotice, Notice } from "../../ui/Notice";
import { leaving, leavingMeans, leavingSentence } from "./leaving";
import { useRest } from "./useRest";

/** Above an app that sleeps, or that soon will: what happens, and the one thing to do about it. */
export function RestNotice({
  app,
  now,
  idleHours,
  className,
  onDone,
}: {
  app: App;
  now: number;
  idleHours: number;
  className?: string;
  /** The app has a newer commit now, which changed nothing of its content. */
  onDone?: (deploy: Deploy) => void;
}) {
  const { act, busy, error } = useRest(app.app_id, app.name, onDone);
  const refused = error ? <ErrorNotice error={error} /> : null;
  const next = leaving(app, now, idleHours);
  if (app.status === "hibernated") {
    return (
      <section className={className} aria-label="Sleep">
        <Notice
          role="status"
          title="This app is asleep."
          actions={
            <Button
              small
              look="primary"
              icon={<MoonStar aria-hidden />}
              busy={busy === "wake"}
              onClick={() => act("wake")}
            >
              Wake
            </Button>
          }
        >
          Nobody used it for a while, so it was stopped. A deploy, or a visit at its address, wakes
          it as well.
        </Notice>
        {refused}
      </section>
    );
  }
  if (!next?.soon || app.status === "suspended") return refused;
  return (
    <section className={className} aria-label="Time left">
      <Notice
        kind="warn"
        role="status"
        title={leavingSentence(next, now)}
        actions={
          <Button small icon={<Pin aria-hidden />} busy={busy === "pin"} onClick={() => act("pin")}>
            Pin
          </Button>
        }
      >
        {leavingMeans(next)} A pinned app stays.
      </Notice>
      {refused}
    </section>
  );
}
