// The entry of the package for browsers.
//
// Unsent reports are sent when the page is hidden or left, as far as the browser permits.

import { timerMax } from "./limits.js";
import { setPlatform } from "./platform.js";
import { webTransport } from "./webTransport.js";

/** @type {Set<import("./platform.js").ExitTarget>} */
const targets = new Set();

/** Sends everything when the page is left. A hidden page may be ended by the browser without a further event. */
function leave() {
  for (const target of targets) target.sendNow();
}

globalThis.addEventListener?.("pagehide", leave);
globalThis.document?.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") leave();
});

setPlatform({
  environment: () => undefined,
  now: () => performance.now(),
  random: Math.random,
  randomName: () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
  log: (line) => console.warn(line),
  schedule: (action, milliseconds) => {
    const timer = setTimeout(action, Math.min(milliseconds, timerMax));
    return () => clearTimeout(timer);
  },
  holdOpen: () => () => {},
  transport: () => webTransport,
  tokenFile: () => {
    throw new Error("a browser cannot read a token file");
  },
  atExit: (target) => void targets.add(target),
  forget: (target) => void targets.delete(target),
  runIn: (_, work) => work(),
});

export * from "./index.js";
