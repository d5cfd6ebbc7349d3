import { exact, relative } from "../../ui/time";

/** "5 minutes ago", with the full time for who points at it and for who hears it. */
export function Moment({ at, now }: { at: string; now: number }) {
  return (
    <time dateTime={at} title={exact(at)}>
      {relative(at, now)}
      <span className="visually-hidden"> ({exact(at)})</span>
    </time>
  );
}
