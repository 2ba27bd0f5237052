// The server's clock. A viewer's clock may be wrong by any amount, so no age is computed from it.

const stepMin = 5_000; // A step back by less is the delay of a response, and not a step of the clock.

/** Server time minus the time since this page began, in milliseconds; null until a server time is known. */
let offset = null;

/** Learns the time in a response that was received at this moment, in milliseconds since 1970. */
export function learn(time, receivedAt = performance.now()) {
  if (!Number.isFinite(time)) return;
  const next = time - receivedAt;
  if (offset === null || next > offset || next < offset - stepMin) offset = next;
}

/** Learns a time that is the server's present time or earlier: a stream may repeat a stored snapshot. */
export function learnAtLeast(time) {
  if (Number.isFinite(time) && (offset === null || time - performance.now() > offset)) offset = time - performance.now();
}

/** The server's time in milliseconds since 1970. */
export function now() {
  return (offset ?? 0) + performance.now();
}

/** Learns the time of a response from its `Date` header, which has whole seconds. */
export function learnFrom(response) {
  learn(Date.parse(response.headers.get("date")));
}

const navigation = performance.getEntriesByType("navigation")[0];
learn(Date.parse(document.querySelector("main")?.dataset.now), navigation?.responseStart ?? 0);
