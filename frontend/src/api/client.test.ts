// @vitest-environment jsdom
import { beforeEach, describe, expect, it, type Mock, vi } from "vitest";
import { answer, http } from "./client";
import { begin, end, token } from "./session";
import { serverEvents } from "./sse";

type Fetched = Mock<(request: Request | string, init?: RequestInit) => Promise<Response>>;

function respond(status: number, body: BodyInit | null, type = "application/json") {
  const headers = { "Content-Type": type };
  const fetched: Fetched = vi.fn(async () => new Response(body, { status, headers }));
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

function requestOf(fetched: Fetched): Request {
  const request = fetched.mock.calls[0]?.[0];
  if (!(request instanceof Request)) throw new Error("nothing was sent");
  return request;
}

const refusal = JSON.stringify({ error: { code: "x", message: "No.", hint: "", details: {} } });
const login = { username: "ada", password: "wrong" };

beforeEach(() => begin("secret"));

describe("a call", () => {
  it("carries the token in a header and never in the address", async () => {
    const fetched = respond(200, "{}");
    await answer(http.GET("/api/auth/me"));
    const request = requestOf(fetched);
    expect(request.headers.get("Authorization")).toBe("Bearer secret");
    expect(request.url).not.toContain("secret");
  });

  it("carries nothing after a log-out", async () => {
    end("logged-out");
    const fetched = respond(200, "{}");
    await answer(http.GET("/api/meta"));
    expect(requestOf(fetched).headers.has("Authorization")).toBe(false);
  });

  it("ends the session when the platform says that it is over", async () => {
    respond(401, refusal);
    await expect(answer(http.GET("/api/apps"))).rejects.toMatchObject({ status: 401 });
    expect(token()).toBeUndefined();
  });

  it("keeps the session when only a password was wrong", async () => {
    vi.stubGlobal("fetch", async (request: Request) => {
      const response = new Response(refusal, { status: 401 });
      Object.defineProperty(response, "url", { value: request.url });
      return response;
    });
    await expect(answer(http.POST("/api/auth/login", { body: login }))).rejects.toThrow("No.");
    expect(token()).toBe("secret");
  });

  it("that finds no network says so", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    await expect(answer(http.GET("/api/apps"))).rejects.toMatchObject({ code: "offline" });
    expect(token()).toBe("secret");
  });
});

async function events(path: string, signal = new AbortController().signal) {
  const seen: string[] = [];
  for await (const { event, data } of serverEvents(path, signal)) seen.push(`${event}: ${data}`);
  return seen;
}

describe("an event stream", () => {
  it("is read with the header, comments left out, chunks put together", async () => {
    const chunks = [
      "event: sta",
      'tus\ndata: {"n": "',
      "é",
      '"}\n\n: ping\n\nevent: line\nda',
      "ta: 2\n\n",
    ];
    const bytes = chunks.map((chunk) => new TextEncoder().encode(chunk));
    const body = new ReadableStream({
      start(controller) {
        for (const chunk of bytes) controller.enqueue(chunk);
        controller.close();
      },
    });
    const fetched = vi.fn(async () => new Response(body, { status: 200 }));
    vi.stubGlobal("fetch", fetched);
    expect(await events("/api/apps/a/events")).toEqual(['status: {"n": "é"}', "line: 2"]);
    expect(fetched).toHaveBeenCalledWith(
      "/api/apps/a/events",
      expect.objectContaining({
        headers: { Authorization: "Bearer secret", Accept: "text/event-stream" },
      }),
    );
  });

  it("that is refused throws the platform's error", async () => {
    respond(404, refusal);
    await expect(events("/api/apps/a/events")).rejects.toMatchObject({
      status: 404,
      message: "No.",
    });
  });

  it("that breaks off throws, so that somebody tries again", async () => {
    const body = new ReadableStream({
      pull(controller) {
        controller.error(new TypeError("network error"));
      },
    });
    vi.stubGlobal("fetch", async () => new Response(body, { status: 200 }));
    await expect(events("/api/apps/a/events")).rejects.toMatchObject({ code: "offline" });
  });
});
