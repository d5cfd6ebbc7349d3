import type { Diagnostic } from "./types";

/** What went wrong, in the API's words: every error a person sees is one of these. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

/** One side of a conflict: an app as it stood, or would stand, at a commit. */
export interface Version {
  commit: string;
  name: string;
  entrypoint: string;
  files: Record<string, string>;
  env: Record<string, string>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === "string");
}

/** The error in an answer's body; a body that is not the platform's comes from a proxy. */
export function errorFrom(status: number, body: unknown): ApiError {
  const error = isRecord(body) ? body.error : undefined;
  if (isRecord(error) && typeof error.message === "string") {
    return new ApiError(
      status,
      typeof error.code === "string" ? error.code : "unknown",
      error.message,
      typeof error.hint === "string" ? error.hint : "",
      isRecord(error.details) ? error.details : {},
    );
  }
  return new ApiError(
    status,
    "unexpected_answer",
    `The platform answered with status ${status} and no explanation.`,
    "Try again in a moment. If it keeps happening, tell an administrator.",
  );
}

/** Whatever was thrown on the way to an answer, as an error that can be shown. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  return new ApiError(
    0,
    "offline",
    "The platform cannot be reached.",
    "Check your connection. Nothing you wrote is lost: drafts stay in this browser.",
  );
}

export function isAbort(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === "AbortError";
}

/** The diagnostics of a refused deploy; empty when the error is another one. */
export function diagnosticsOf(error: ApiError): Diagnostic[] {
  const found = error.details.diagnostics;
  if (!Array.isArray(found)) return [];
  return found.filter(
    (item): item is Diagnostic =>
      isRecord(item) && typeof item.path === "string" && typeof item.line === "number",
  );
}

/** What is wrong with single fields of a form, by their names in the API. */
export function fieldErrorsOf(error: ApiError | undefined): Record<string, string> {
  const fields = error?.details.fields;
  if (!Array.isArray(fields)) return {};
  return Object.fromEntries(
    fields
      .filter((item) => typeof item?.field === "string" && typeof item.message === "string")
      .map(({ field, message }) => [field, message]),
  );
}

/** The app as it stands now, when a deploy was based on an older commit; otherwise nothing. */
export function currentOf(error: ApiError): Version | undefined {
  if (error.code !== "stale_base") return undefined;
  const current = error.details.current;
  if (!isRecord(current) || typeof current.commit !== "string" || !isTexts(current.files)) {
    return undefined;
  }
  return {
    commit: current.commit,
    name: typeof current.name === "string" ? current.name : "",
    entrypoint: typeof current.entrypoint === "string" ? current.entrypoint : "",
    files: current.files,
    env: isTexts(current.env) ? current.env : {},
  };
}
