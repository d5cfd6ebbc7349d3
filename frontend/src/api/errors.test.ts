import { describe, expect, it } from "vitest";
import { ApiError, currentOf, diagnosticsOf, errorFrom, fieldErrorsOf, toApiError } from "./errors";

const body = (details: unknown) => ({
  error: { code: "stale_base", message: "It changed.", hint: "Compare.", details },
});

it("the platform's own error is taken word for word", () => {
  expect(errorFrom(409, body({ a: 1 }))).toMatchObject({
    status: 409,
    code: "stale_base",
    message: "It changed.",
    hint: "Compare.",
    details: { a: 1 },
  });
});

it.each([undefined, "Bad Gateway", null, { detail: "Not Found" }, { error: "no" }, []])(
  "an answer of something in between (%j) still says what to do",
  (answer) => {
    const error = errorFrom(502, answer);
    expect(error.message).toContain("502");
    expect(error.hint).not.toBe("");
  },
);

it("a broken connection is told as such", () => {
  expect(toApiError(new TypeError("Failed to fetch"))).toMatchObject({
    status: 0,
    code: "offline",
  });
  const known = new ApiError(404, "not_found", "", "");
  expect(toApiError(known)).toBe(known);
});

describe("details", () => {
  it("of a refused deploy are diagnostics", () => {
    const found = { path: "user_code.py", line: 3, message: "no" };
    const error = errorFrom(422, body({ diagnostics: [found, "rubbish", { path: 1 }] }));
    expect(diagnosticsOf(error)).toEqual([found]);
    expect(diagnosticsOf(errorFrom(422, body({})))).toEqual([]);
  });

  it("of a stale base are the app as it is now", () => {
    const current = { commit: "c2", name: "Shop", entrypoint: "user_code.py", files: {}, env: {} };
    expect(currentOf(errorFrom(409, body({ current })))).toEqual(current);
    expect(currentOf(errorFrom(409, body({ current: { commit: 7 } })))).toBeUndefined();
    expect(currentOf(new ApiError(409, "name_taken", "", "", { current }))).toBeUndefined();
  });

  it("of a form name its fields", () => {
    const fields = [{ field: "password", message: "Too short." }, { field: 1 }, null];
    expect(fieldErrorsOf(errorFrom(422, body({ fields })))).toEqual({ password: "Too short." });
    expect(fieldErrorsOf(undefined)).toEqual({});
  });
});
