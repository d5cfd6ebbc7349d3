import { FileCode2, X } from "lucide-react";
import { type KeyboardEvent, useRef } from "react";
import styles from "./tabs.module.css";
import { type Action, changedPaths, type Workspace } from "./workspace";

/** The open files: arrow keys move, Delete closes, as the ARIA practices have it. */
export function Tabs({
  workspace,
  dispatch,
}: {
  workspace: Workspace;
  dispatch: (action: Action) => void;
}) {
  const { tabs, active } = workspace;
  const list = useRef<HTMLDivElement>(null);
  const changed = changedPaths(workspace);

  function move(event: KeyboardEvent, path: string): void {
    const at = tabs.indexOf(path);
    if (event.key === "Delete") dispatch({ type: "close", path });
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    const next = to === undefined ? undefined : tabs.at(to % tabs.length);
    if (next === undefined) return;
    event.preventDefault();
    dispatch({ type: "open", path: next });
    list.current?.querySelector<HTMLElement>(`[data-path="${CSS.escape(next)}"]`)?.focus();
  }

  return (
    <div ref={list} role="tablist" aria-label="Open files" className={styles.tabs}>
      {tabs.map((path) => {
        const name = path.slice(path.lastIndexOf("/") + 1);
        const selected = path === active;
        return (
          <div key={path} className={styles.tab} data-selected={selected} role="presentation">
            <button
              type="button"
              role="tab"
              aria-selected={selected}
              tabIndex={selected ? 0 : -1}
              aria-keyshortcuts="Delete"
              data-path={path}
              title={path}
              className={styles.name}
              onClick={() => dispatch({ type: "open", path })}
              onAuxClick={(event) => event.button === 1 && dispatch({ type: "close", path })}
              onKeyDown={(event) => move(event, path)}
            >
              <FileCode2 aria-hidden />
              {name}
              {changed.has(path) ? <span className="visually-hidden"> (changed)</span> : null}
            </button>
            <button
              type="button"
              className={styles.close}
              data-changed={changed.has(path)}
              title={`Close ${name}`}
              // A tablist holds tabs only; the keyboard closes with Delete.
              aria-hidden
              tabIndex={-1}
              onClick={() => dispatch({ type: "close", path })}
            >
              <X aria-hidden />
            </button>
          </div>
        );
      })}
    </div>
  );
}
