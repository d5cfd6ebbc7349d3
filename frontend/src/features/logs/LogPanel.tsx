import { ArrowDown, Eraser } from "lucide-react";
import { useLayoutEffect, useRef, useState } from "react";
import { Button } from "../../ui/Button";
import { clock } from "./lines";
import styles from "./logs.module.css";
import { useLog } from "./useLog";

const STATES = {
  connecting: "Connecting…",
  live: "Live",
  broken: "The log cannot be read at the moment. Trying again…",
};

export function LogPanel({ appId }: { appId: string | undefined }) {
  const { lines, state, clear } = useLog(appId);
  const box = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);

  // biome-ignore lint/correctness/useExhaustiveDependencies: new lines move the end
  useLayoutEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, following]);

  function scrolled(): void {
    const element = box.current;
    if (!element) return;
    setFollowing(element.scrollHeight - element.scrollTop - element.clientHeight < 24);
  }

  if (appId === undefined) {
    return <p className={styles.none}>The log begins with the first deploy.</p>;
  }
  return (
    <div className={styles.panel}>
      <div className={styles.tools}>
        <span className={styles.state} data-state={state}>
          {STATES[state]}
        </span>
        {following ? null : (
          <Button
            look="quiet"
            small
            icon={<ArrowDown aria-hidden />}
            onClick={() => setFollowing(true)}
          >
            Newest
          </Button>
        )}
        <Button look="quiet" small icon={<Eraser aria-hidden />} onClick={clear}>
          Clear
        </Button>
      </div>
      <div
        ref={box}
        role="log"
        aria-label="Log of the app"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls by keyboard too
        tabIndex={0}
        className={styles.lines}
        onScroll={scrolled}
      >
        {lines.length === 0 ? (
          <p className={styles.none}>
            Nothing yet. What your app prints, and one line a request, shows here.
          </p>
        ) : null}
        {lines.map(({ at, pod, text }, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines may repeat to the letter
          <div key={`${at}${pod}${index}`} className={styles.line}>
            <time dateTime={at} title={`${at} ${pod}`}>
              {clock(at)}
            </time>
            <span>{text}</span>
          </div>
        ))}
      </div>
    </div>
  );
}
