// @vitest-environment jsdom
import { screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { platform, show } from "../../testing/page";
import { DashboardPage } from "./DashboardPage";

const answers = {
  "GET /api/auth/me": {
    body: { user_id: "u1", username: "ada", email: "ada@example.org", is_admin: false },
  },
  "GET /api/meta": {
    body: { mode: "embedded", signup: "open", isolated: true, max_apps_per_user: 20 },
  },
  "GET /api/removed-apps": { body: { apps: [] } },
};
const newApp = () => screen.queryByRole("button", { name: "New app" });

it("offers starters to whoever has no app, and shows no other way meanwhile", async () => {
  platform({ ...answers, "GET /api/apps": { body: { apps: [] } } });
  show(<DashboardPage />);
  expect(newApp()).toBeNull();
  await screen.findByRole("button", { name: /Hello API/ });
  expect(newApp()).toBeNull();
});

it("still lets people begin an app while the list cannot be had", async () => {
  platform(answers);
  show(<DashboardPage />);
  await screen.findByRole("alert");
  expect(newApp()).not.toBeNull();
});
