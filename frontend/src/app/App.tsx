import { lazy, Suspense, useEffect, useRef } from "react";
import { Route, Switch, useLocation } from "wouter";
import { queries } from "../api/queries";
import { useSession } from "../api/session";
import { AccountPage } from "../features/account/AccountPage";
import { LogInPage } from "../features/auth/LogInPage";
import { SignUpPage } from "../features/auth/SignUpPage";
import { DashboardPage } from "../features/dashboard/DashboardPage";
import { PackagesPage } from "../features/packages/PackagesPage";
import { NotFoundPage } from "./NotFoundPage";
import { PageLoading } from "./PageLoading";

// Monaco comes with it: a chunk that log-in and dashboard never wait for.
const EditorPage = lazy(() => import("../features/editor/EditorPage"));
const HistoryPage = lazy(() => import("../features/history/HistoryPage"));

export function App() {
  const { token } = useSession();
  const [path] = useLocation();
  const signedIn = token !== undefined;

  // What one person's session loaded is not the next one's.
  useEffect(() => {
    if (!signedIn) queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "meta" });
  }, [signedIn]);

  useFocusOnArrival(path, signedIn);

  if (!signedIn) return path === "/signup" ? <SignUpPage /> : <LogInPage />;
  return (
    <Suspense fallback={<PageLoading />}>
      <Switch>
        <Route path="/" component={DashboardPage} />
        <Route path="/login" component={DashboardPage} />
        <Route path="/signup" component={DashboardPage} />
        {/* One route for both, so that the editor stays as it is when a draft becomes an app. */}
        <Route path={/^\/(?<kind>apps|drafts)\/(?<id>[a-z0-9-]+)\/?$/}>
          {({ kind, id }) => (
            <EditorPage kind={kind === "apps" ? "apps" : "drafts"} id={id ?? ""} />
          )}
        </Route>
        <Route path={/^\/apps\/(?<id>[a-z0-9-]+)\/history(?:\/(?<commit>[^/]+))?\/?$/}>
          {({ id, commit }) => <HistoryPage key={id} appId={id ?? ""} commit={commit} />}
        </Route>
        <Route path="/packages" component={PackagesPage} />
        <Route path="/account" component={AccountPage} />
        <Route component={NotFoundPage} />
      </Switch>
    </Suspense>
  );
}

/** A new page is announced by moving the focus to its main part, as a page load would. */
function useFocusOnArrival(path: string, signedIn: boolean): void {
  const shown = useRef(`${signedIn}${path}`);
  useEffect(() => {
    const arrived = `${signedIn}${path}`;
    if (shown.current === arrived) return;
    shown.current = arrived;
    // The focus went with the page that was left; where it stayed, as in the code of a draft that
    // becomes an app, it is somebody's.
    if (focusStayed()) return;
    window.scrollTo(0, 0);
    return focusMain();
  }, [path, signedIn]);
}

function focusStayed(): boolean {
  const focused = document.activeElement;
  // A page that waits for the next one to load is hidden, and loses the focus only after that.
  return focused !== null && focused !== document.body && focused.checkVisibility();
}

/** Also when the page is still loading: unless the focus went somewhere else by then. */
function focusMain(): () => void {
  const arrive = () => {
    const main = document.querySelector<HTMLElement>("main");
    main?.focus({ preventScroll: true });
    // The page before may still be there, hidden, and then takes no focus.
    return main !== null && document.activeElement === main;
  };
  const observer = new MutationObserver(() => {
    if (focusStayed() || arrive()) observer.disconnect();
  });
  if (!arrive()) observer.observe(document.body, { childList: true, subtree: true });
  return () => observer.disconnect();
}
