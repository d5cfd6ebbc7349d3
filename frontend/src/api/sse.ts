import { createParser } from "eventsource-parser";
import { get } from "./client";
import { toApiError } from "./errors";

export interface ServerEvent {
  event: string;
  data: string;
}

/** A stream without a byte for this long is dead; the server sends a comment every 15 s. */
const SILENCE_MS = 45_000;

/**
 * Server-sent events over `fetch`: EventSource cannot send a header, and a token never stands in a
 * URL. Ends when the server ends the stream; throws ApiError when it is refused or breaks off.
 */
export async function* serverEvents(
  path: string,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const dead = new AbortController();
  const response = await get(path, "text/event-stream", AbortSignal.any([signal, dead.signal]));
  const reader = response.body?.getReader();
  if (!reader) return;
  const received: ServerEvent[] = [];
  const parser = createParser({
    onEvent: ({ event, data }) => received.push({ event: event ?? "message", data }),
  });
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const silence = setTimeout(() => dead.abort(), SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      yield* received.splice(0);
    }
  } catch (thrown) {
    // Only the caller's own signal is a wish to stop; silence and broken connections are faults.
    throw signal.aborted ? thrown : toApiError(dead.signal.aborted ? undefined : thrown);
  } finally {
    // The consumer stopped, or the stream broke: either way the connection is of no more use.
    await reader.cancel().catch(() => undefined);
  }
}
