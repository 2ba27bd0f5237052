// Keeps the parts of a page that the server renders up to date.

import { learnFrom } from "./clock.js";
import { elements, patch } from "./patch.js";
import { StatusError } from "./stream.js";
import { showTimes } from "./times.js";

const timeout = 30_000;
const pauseMin = 1_000; // After a failure; doubles with each further one.
const pauseMax = 30_000;
const pressedMax = 5_000; // In case the release of a button is never reported, as after a drag out of the window.

/** Fetches a part of the page at an address; returns its elements, with times as the page shows them. */
export async function fetchPart(name, url, signal) {
  const address = new URL(url);
  address.hash = "";
  address.searchParams.set("part", name);
  const limit = AbortSignal.timeout(timeout);
  const response = await fetch(address, { signal: signal ? AbortSignal.any([signal, limit]) : limit, redirect: "manual" });
  learnFrom(response);
  if (!response.ok) throw StatusError.of(response);
  const made = elements(await response.text());
  made.forEach((element) => showTimes(element));
  return made;
}

// While a button of the pointer is pressed nothing is changed, so that the click reaches the element below the pointer.
let pressed = null;

addEventListener("pointerdown", () => {
  pressed?.end();
  let end;
  const released = new Promise((resolve) => { end = resolve; });
  pressed = { released, end };
  setTimeout(end, pressedMax);
}, { capture: true, passive: true });

for (const name of ["pointerup", "pointercancel", "blur"]) {
  addEventListener(name, (event) => {
    if (event.type === "blur" && event.target !== window) return; // An element has lost the focus, not the window.
    const { end } = pressed ?? {};
    pressed = null;
    setTimeout(() => end?.()); // After the click, which follows the release.
  }, { capture: true, passive: true });
}

/** A part that is fetched again when the job has changed. */
export class Part {
  #selector;
  #address;
  #interval;
  #applies;
  #afterwards;
  #shown; // The version of the job that the part shows.
  #requested; // The version that it should show.
  #timer = 0;
  #isFetching = false;
  #last = -Infinity;
  #failures = 0;

  /**
   * @param {string} name The name of the part, and the id of its element.
   * @param {{address(): URL, interval(): number, applies(): boolean, afterwards?: function(): void, version: string?}} options
   *   `interval` returns the least milliseconds between two requests, `applies` whether the part follows the job now;
   *   `version` is the version that the page was loaded with.
   */
  constructor(name, { address, interval, applies, afterwards = () => {}, version = null }) {
    this.name = name;
    this.#selector = `#${name}`;
    this.#address = address;
    this.#interval = interval;
    this.#applies = applies;
    this.#afterwards = afterwards;
    this.#shown = this.#requested = version;
  }

  /** Requests that the part shows this version of the job. */
  request(version) {
    this.#requested = version;
    this.schedule();
  }

  /** Fetches the part if it shows an older version: now, or as soon as the interval allows it. */
  schedule() {
    if (this.#timer !== 0 || this.#isFetching || document.hidden || this.#shown === this.#requested || !this.#applies()) return;
    const pause = this.#failures === 0 ? this.#interval() : Math.min(pauseMax, pauseMin * 2 ** Math.min(this.#failures, 10));
    this.#timer = setTimeout(() => this.#fetch(), Math.max(0, this.#last + pause - performance.now()));
  }

  async #fetch() {
    this.#timer = 0;
    if (document.hidden || !this.#applies()) return;
    this.#isFetching = true;
    this.#last = performance.now();
    const version = this.#requested;
    const address = this.#address();
    try {
      const [made] = await fetchPart(this.name, address);
      await pressed?.released;
      const shown = document.querySelector(this.#selector);
      if (made?.id !== this.name) throw new Error(`The response is not the part ${this.name}.`);
      this.#failures = 0;
      // The response is dropped if the viewer has opened another address since the request.
      if (address === this.#address() && this.#applies()) {
        patch(shown, made);
        this.#shown = version;
        this.#afterwards();
      }
    } catch {
      this.#failures += 1; // The part is fetched again. The feed reports a lost connection.
    } finally {
      this.#isFetching = false;
    }
    this.schedule();
  }
}
