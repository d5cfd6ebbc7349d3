/** What jsdom lacks of a page, and how a component is shown in one. */
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { configure, render } from "@testing-library/react";
import type { ReactNode } from "react";
import { vi } from "vitest";
import { Toasts } from "../ui/toasts";

// A busy machine is slow, not wrong; and what is hidden is the browser test's to see.
configure({ asyncUtilTimeout: 5_000, defaultHidden: true });

HTMLDialogElement.prototype.showModal = function showModal() {
  this.open = true;
};
HTMLDialogElement.prototype.close = function close() {
  this.open = false;
};
HTMLElement.prototype.hidePopover = () => undefined;

export function show(page: ReactNode) {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return render(
    <QueryClientProvider client={client}>
      {page}
      <Toasts />
    </QueryClientProvider>,
  );
}

type Answer = { status?: number; body?: unknown };
export type Sent = { method: string; path: string; body: unknown; headers: Headers };

/**
 * Stands in for the platform: `answers` by "METHOD /path", a value or a function of what was sent.
 * What has no answer is refused with 503, so that polling stays polite. Returns what was sent.
 */
export function platform(answers: Record<string, Answer | ((sent: Sent) => Answer)>): Sent[] {
  const log: Sent[] = [];
  vi.stubGlobal("fetch", async (input: Request | string, init?: RequestInit) => {
    const request =
      input instanceof Request ? input : new Request(new URL(input, location.href), init);
    const { pathname } = new URL(request.url);
    const text = await request.text();
    const body: unknown = text ? JSON.parse(text) : undefined;
    const sent = { method: request.method, path: pathname, body, headers: request.headers };
    log.push(sent);
    const known = answers[`${request.method} ${pathname}`];
    const answer = typeof known === "function" ? known(sent) : (known ?? unavailable);
    return new Response(answer.body === undefined ? null : JSON.stringify(answer.body), {
      status: answer.status ?? 200,
      headers: { "Content-Type": "application/json" },
    });
  });
  return log;
}

const unavailable: Answer = {
  status: 503,
  body: { error: { code: "unavailable", message: "Not now.", hint: "", details: {} } },
};
