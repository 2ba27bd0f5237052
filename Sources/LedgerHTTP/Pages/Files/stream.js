// Reads streams of server-sent events.
//
// EventSource hides the comments that distinguish a silent connection from a dead one, so streams are read with fetch.

const silenceMax = 40_000; // The server sends at least a comment every 15 seconds.
const firstEventMax = 6_000; // The server sends the first event at once; a buffering proxy holds it back.
const eventSizeMax = 64 * 1024 * 1024; // In characters. The server sends nothing that large.

/** No event arrives although the connection may be up: a proxy may hold events back. */
export class HeldBack extends Error {}

/** A response with a status other than success or 304. */
export class StatusError extends Error {
  /** @param {number} status The status; 0 for a redirection. */
  constructor(status, retryAfter = 0) {
    super(`status ${status}`);
    this.status = status;
    /** Milliseconds that the server asks clients to wait. */
    this.retryAfter = retryAfter;
  }

  /** The error of a response. */
  static of(response) {
    return new StatusError(response.status, Math.min(60, Number(response.headers.get("retry-after")) || 0) * 1_000);
  }
}

/**
 * Reads a stream until it breaks off; true if `event` has ended it.
 *
 * @param {(address: string|URL, headers: object, control: AbortController) => Promise<Response>} request
 * @param {{live(): void, event(name: string, data: string): (boolean|void)}} reader `live` is called before the first event.
 * @throws {HeldBack} If nothing arrives for too long.
 */
export async function readStream(address, signal, request, reader) {
  const control = new AbortController();
  const abort = () => control.abort();
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  let timer = 0, isHeldBack = false;
  const limit = (time) => {
    clearTimeout(timer);
    timer = setTimeout(() => { isHeldBack = true; control.abort(); }, time);
  };
  try {
    limit(firstEventMax);
    const response = await request(address, { accept: "text/event-stream" }, control);
    const body = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "", hasBegun = false;
    for (;;) {
      const { done, value } = await body.read();
      if (done || signal.aborted) return false;
      if (hasBegun) limit(silenceMax);
      text += value;
      if (text.length > eventSizeMax) throw new Error("an event is too large");
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const { name, data } = parseEvent(block);
        if (data === "") continue;
        if (!hasBegun) reader.live();
        hasBegun = true;
        limit(silenceMax);
        if (reader.event(name, data) === true) return true;
      }
    }
  } catch (error) {
    throw isHeldBack ? new HeldBack() : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    control.abort();
  }
}

/** The name and the data of a server-sent event; a comment has no data. */
function parseEvent(block) {
  let name = "message", data = "";
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1).replace(/^ /, "");
    switch (line.slice(0, colon)) {
      case "event": name = value; break;
      case "data": data += value; break;
    }
  }
  return { name, data };
}
