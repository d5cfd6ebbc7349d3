import createClient from "openapi-fetch";
import { type ApiError, errorFrom, isAbort, toApiError } from "./errors";
import type { paths } from "./schema";
import { end, token } from "./session";

/** The API, typed by its own OpenAPI document. Unwrap every call with `answer`. */
export const http = createClient<paths, "application/json">({
  baseUrl: window.location.origin,
  // Looked up at each call, so that tests may replace it.
  fetch: (request) => fetch(request),
});

http.use({
  onRequest({ request }) {
    for (const [name, value] of Object.entries(authorization())) request.headers.set(name, value);
    return request;
  },
});

/** The header that every request carries; the token never stands in a URL. */
export function authorization(): Record<string, string> {
  const current = token();
  return current ? { Authorization: `Bearer ${current}` } : {};
}

/** The body of an answer; throws ApiError, and ends the session when it is over. */
export async function answer<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  try {
    const { data, error, response } = await call;
    if (!response.ok) throw refused(response.status, error, response.url);
    return data as T;
  } catch (thrown) {
    if (isAbort(thrown)) throw thrown;
    throw toApiError(thrown);
  }
}

/** A plain GET with the session's header, for what is not JSON: streams and downloads. */
export async function get(path: string, accept: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { headers: { ...authorization(), Accept: accept }, signal });
  } catch (thrown) {
    if (isAbort(thrown)) throw thrown;
    throw toApiError(thrown);
  }
  if (!response.ok) {
    const body: unknown = await response.json().catch(() => undefined);
    throw refused(response.status, body, path);
  }
  return response;
}

function refused(status: number, body: unknown, url: string): ApiError {
  const error = errorFrom(status, body);
  // A wrong password is a 401 as well, but it ends no session.
  if (status === 401 && token() && !/\/api\/auth\/(login|password)$/.test(url)) end("expired");
  return error;
}
