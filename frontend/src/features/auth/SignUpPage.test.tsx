// @vitest-environment jsdom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { beforeEach, expect, it } from "vitest";
import { end, token } from "../../api/session";
import { platform, show } from "../../testing/page";
import { SignUpPage } from "./SignUpPage";

const meta = (signup: string) => ({
  body: { mode: "embedded", signup, isolated: false, max_apps_per_user: 20 },
});
const person = { user_id: "u1", username: "ada", email: "ada@example.org", is_admin: true };

beforeEach(() => end(undefined));

async function fillIn() {
  fireEvent.change(await screen.findByLabelText("Username"), { target: { value: "ada" } });
  fireEvent.change(screen.getByLabelText("Email"), { target: { value: "ada@example.org" } });
  fireEvent.change(screen.getByLabelText("Password"), { target: { value: "correct horse" } });
}

it("signs up and logs in with one act", async () => {
  const sent = platform({
    "GET /api/meta": meta("open"),
    "POST /api/auth/signup": { status: 201, body: person },
    "POST /api/auth/login": { body: { access_token: "t1", token_type: "bearer", expires_in: 9 } },
  });
  show(<SignUpPage />);
  await fillIn();
  expect(screen.queryByLabelText("Invitation code")).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Sign up" }));
  await waitFor(() => expect(token()).toBe("t1"));
  expect(sent.find(({ path }) => path === "/api/auth/signup")?.body).toEqual({
    username: "ada",
    email: "ada@example.org",
    password: "correct horse",
  });
});

it("asks for the code where people are invited, and sends it", async () => {
  const sent = platform({ "GET /api/meta": meta("invite") });
  show(<SignUpPage />);
  fireEvent.change(await screen.findByLabelText("Invitation code"), {
    target: { value: " code-1 " },
  });
  await fillIn();
  fireEvent.click(screen.getByRole("button", { name: "Sign up" }));
  await screen.findByRole("alert");
  expect(sent.at(-1)?.body).toMatchObject({ invitation: "code-1" });
});

it("explains that it is closed, without a form", async () => {
  platform({ "GET /api/meta": meta("closed") });
  show(<SignUpPage />);
  expect(await screen.findByText("Sign-up is closed here.")).toBeTruthy();
  expect(screen.queryByLabelText("Username")).toBeNull();
});

it("says at the field what is wrong with it", async () => {
  const fields = [{ field: "password", message: "This one is known to everybody." }];
  platform({
    "GET /api/meta": meta("open"),
    "POST /api/auth/signup": {
      status: 422,
      body: { error: { code: "invalid_password", message: "No.", hint: "", details: { fields } } },
    },
  });
  show(<SignUpPage />);
  await fillIn();
  fireEvent.click(screen.getByRole("button", { name: "Sign up" }));
  await screen.findByText("This one is known to everybody.");
  expect(screen.getByLabelText("Password").getAttribute("aria-invalid")).toBe("true");
  expect(screen.getByLabelText("Username").getAttribute("aria-invalid")).toBeNull();
  expect(token()).toBeUndefined();
});
