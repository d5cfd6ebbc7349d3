import { useCallback, useRef, useState } from "react";
import { type Action, reduce, type Workspace } from "./workspace";

/**
 * The workspace, and a way to read it as it is this very moment: a key that deploys may follow a
 * key that types before the page has been drawn in between.
 */
export function useWorkspace(initial: Workspace): {
  workspace: Workspace;
  dispatch: (action: Action) => void;
  latest: () => Workspace;
} {
  const [workspace, setWorkspace] = useState(initial);
  const current = useRef(initial);
  const dispatch = useCallback((action: Action) => {
    current.current = reduce(current.current, action);
    setWorkspace(current.current);
  }, []);
  return { workspace, dispatch, latest: useCallback(() => current.current, []) };
}
