import { useSyncExternalStore } from "react";

const KEY = "fastapi-platform.token";

/** Why there is no session, so that the log-in page can say it. */
export type Ended = "logged-out" | "expired" | "everywhere" | undefined;

interface Session {
  token: string | undefined;
  ended: Ended;
}

let session: Session = { token: stored(), ended: undefined };
const listeners = new Set<() => void>();

function stored(): string | undefined {
  try {
    return localStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined; // storage is blocked: the session lasts as long as the page
  }
}

function change(next: Session): void {
  session = next;
  for (const listener of listeners) listener();
}

export function token(): string | undefined {
  return session.token;
}

export function begin(accessToken: string): void {
  try {
    localStorage.setItem(KEY, accessToken);
  } catch {
    // as above
  }
  change({ token: accessToken, ended: undefined });
}

export function end(why: Ended): void {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // as above
  }
  change({ token: undefined, ended: why });
}

// A log-in or log-out in one tab holds for all of them.
window.addEventListener("storage", (event) => {
  if (event.key === KEY || event.key === null) {
    change({ token: stored(), ended: stored() ? undefined : "logged-out" });
  }
});

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useSession(): Session {
  return useSyncExternalStore(subscribe, () => session);
}
