// @vitest-environment jsdom
import { act, fireEvent, renderHook, screen, waitFor, within } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import type { App, RemovedApp } from "../../api/types";
import { platform, show } from "../../testing/page";
import { AppCard } from "../dashboard/AppCard";
import { RemovedApps } from "./RemovedApps";
import { RestNotice } from "./RestNotice";
import { useActivity } from "./useActivity";

const now = Date.parse("2026-01-10T12:00:00Z");
const at = (hours: number) => new Date(now + hours * 3_600_000).toISOString();

const app = {
  app_id: "shop-1",
  user_id: "u1",
  name: "Shop",
  url: "http://localhost:8001/user/u1/app/shop-1/",
  entrypoint: "user_code.py",
  status: "running",
  commit: "a".repeat(40),
  created_at: at(-50),
  deployed_at: at(-40),
  last_activity_at: at(-22),
  hibernates_at: null,
  expires_at: at(2),
  pinned: false,
} satisfies App & { hibernates_at: string | null };
const removed: RemovedApp = {
  app_id: "old-1",
  name: "Old shop",
  url: "http://localhost:8001/user/u1/app/old-1/",
  removed_at: at(-48),
  idle: true,
  reserved_until: at(28 * 24),
  commit: "b".repeat(40),
};

function card(over: Partial<App>) {
  return (
    <ul>
      <AppCard app={{ ...app, ...over }} now={now} idleHours={24} canPin hasDraft={false} />
    </ul>
  );
}

afterEach(() => vi.useRealTimers());

it("wakes a sleeping app from its card, and offers no way into it before", async () => {
  const sent = platform({ "POST /api/apps/shop-1/wake": { status: 202, body: app } });
  show(card({ status: "hibernated" }));
  expect(screen.queryByText("Open app")).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Wake Shop" }));
  await screen.findByText("Shop is waking up.");
  expect(sent.map(({ method, path }) => `${method} ${path}`)).toContain(
    "POST /api/apps/shop-1/wake",
  );
});

it("marks the time left when it is short, in words and not by colour alone", () => {
  platform({});
  show(card({}));
  const left = screen.getByText("Removed in 2 hours");
  expect(left.dataset.soon).toBe("true");
  expect(left.title).toContain("can be restored");
});

it("pins and unpins with a button that tells its state", async () => {
  const sent = platform({
    "POST /api/apps/shop-1/pin": { status: 202, body: { ...app, pinned: true } },
    "DELETE /api/apps/shop-1/pin": { status: 202, body: app },
  });
  const { unmount } = show(card({}));
  const pin = screen.getByRole("button", { name: "Pin Shop" });
  expect(pin.getAttribute("aria-pressed")).toBe("false");
  fireEvent.click(pin);
  await screen.findByText("Shop stays, whether it is used or not.");
  unmount();
  show(card({ pinned: true, expires_at: null }));
  expect(screen.getByText("no limit: pinned")).toBeDefined();
  const pinned = screen.getByRole("button", { name: "Pin Shop" });
  expect(pinned.getAttribute("aria-pressed")).toBe("true");
  fireEvent.click(pinned);
  await screen.findByText("Shop may fall asleep when nobody uses it.");
  expect(sent.filter(({ path }) => path.endsWith("/pin")).map(({ method }) => method)).toEqual([
    "POST",
    "DELETE",
  ]);
});

it("says why an app cannot be pinned", async () => {
  const error = {
    code: "pin_limit",
    message: "You have 2 pinned apps, and one person may pin 2 here.",
    hint: "Unpin another app first.",
    details: {},
  };
  platform({ "POST /api/apps/shop-1/pin": { status: 409, body: { error } } });
  show(card({}));
  fireEvent.click(screen.getByRole("button", { name: "Pin Shop" }));
  expect((await screen.findByRole("alert")).textContent).toContain("Unpin another app first.");
});

it("lists what was removed, with its reason, and restores it", async () => {
  const deleted = { ...removed, app_id: "mine-1", name: "Mine", idle: false };
  const sent = platform({
    "GET /api/removed-apps": { body: { apps: [removed, deleted] } },
    "POST /api/apps/old-1/restore": { status: 202, body: { ...app, app_id: "old-1" } },
  });
  show(<RemovedApps now={now} />);
  const section = await screen.findByRole("region", { name: "Removed lately" });
  const [one, other] = within(section).getAllByRole("listitem");
  expect(one?.textContent).toContain("Removed 2 days ago, for nobody used it. Listed for 28 days");
  expect(other?.textContent).toContain("Deleted 2 days ago. Listed");
  fireEvent.click(screen.getByRole("button", { name: "Restore Old shop" }));
  await screen.findByText("Old shop is coming back.");
  await waitFor(() =>
    expect(sent.filter(({ path }) => path === "/api/removed-apps").length).toBeGreaterThan(1),
  );
});

it("shows no list where nothing was removed", async () => {
  const sent = platform({ "GET /api/removed-apps": { body: { apps: [] } } });
  show(<RemovedApps now={now} />);
  await waitFor(() => expect(sent).toHaveLength(1));
  expect(screen.queryByRole("region", { name: "Removed lately" })).toBeNull();
});

it("warns above an app before it goes, and is silent while there is time", () => {
  platform({});
  const { unmount } = show(<RestNotice app={app} now={now} idleHours={24} />);
  expect(screen.getByRole("status").textContent).toContain(
    "This app is removed in 2 hours unless somebody uses it.",
  );
  unmount();
  show(<RestNotice app={{ ...app, expires_at: at(20) }} now={now} idleHours={24} />);
  expect(screen.queryByRole("status")).toBeNull();
});

it("hands on the commit that woke the app", async () => {
  platform({ "POST /api/apps/shop-1/wake": { status: 202, body: app } });
  const onDone = vi.fn();
  show(
    <RestNotice app={{ ...app, status: "hibernated" }} now={now} idleHours={24} onDone={onDone} />,
  );
  fireEvent.click(screen.getByRole("button", { name: "Wake" }));
  await waitFor(() => expect(onDone).toHaveBeenCalledWith(expect.objectContaining(app)));
});

it("tells of work on an app at most once a minute, and never of a page that is only open", async () => {
  vi.useFakeTimers();
  const sent = platform({ "POST /api/apps/shop-1/activity": { status: 202, body: {} } });
  const { rerender, unmount } = renderHook(({ content }) => useActivity("shop-1", content), {
    initialProps: { content: {} },
  });
  await act(() => vi.advanceTimersByTimeAsync(300_000));
  expect(sent).toHaveLength(0);
  for (let key = 0; key < 20; key++) {
    rerender({ content: {} });
    await act(() => vi.advanceTimersByTimeAsync(1_000));
  }
  expect(sent).toHaveLength(1);
  await act(() => vi.advanceTimersByTimeAsync(60_000));
  expect(sent).toHaveLength(2);
  rerender({ content: {} });
  unmount();
  await act(() => vi.advanceTimersByTimeAsync(300_000));
  expect(sent).toHaveLength(2);
});
