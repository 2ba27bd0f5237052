// Shows whether the page is live, how old its newest event is, and that the connection is lost.

import { now } from "./clock.js";
import { age } from "./text.js";
import { fullText, secondText } from "./times.js";

const noticeTime = 60_000;

/** Why a page is not live, by the status of the response; undefined without a response. */
function reasonText(status) {
  switch (status) {
    case undefined: return "connection lost";
    case 0: return "redirected: reload the page"; // For example to a login.
    case 401: case 403: return "not allowed: reload the page";
    case 404: return "not found: the ledger has no such job";
    case 429: case 503: return "the server is busy";
    default: return `the server answered ${status}`;
  }
}

export class Connection {
  #element = document.querySelector("#connection");
  #words = this.#element.querySelector(".words");
  #state = "still";
  #interval = 0;
  #changedAt = null;
  #connectedAt = now();
  #retryAt = 0;
  #reason = "connection lost";
  #notice = null;

  constructor() {
    setInterval(() => this.#show(), 1000);
    addEventListener("beforeprint", () => {
      this.#element.dataset.printed = `as of ${fullText(new Date(now()))}`;
    });
  }

  /**
   * @param {string} state "live", "lost", "ended" or "past"
   * @param {number} detail Of "live": milliseconds between polls, 0 for a stream. Of "lost": until the next attempt.
   */
  set(state, detail = 0, error = null) {
    if (state !== "lost") this.#connectedAt = now();
    else this.#reason = reasonText(error?.status);
    this.#state = state;
    this.#interval = state === "live" ? detail : 0;
    this.#retryAt = performance.now() + detail;
    this.#element.dataset.state = state;
    document.body.classList.toggle("lost", state === "lost");
    this.#show();
  }

  get state() {
    return this.#state;
  }

  /** Sets the time at which the newest event on the page was recorded. */
  changed(time) {
    this.#changedAt = time === null ? null : Date.parse(time);
    this.#show();
  }

  /** Shows a text for a minute; null removes it. */
  notify(text) {
    this.#notice = text === null ? null : { text, until: performance.now() + noticeTime };
    this.#show();
  }

  #show() {
    if (this.#state === "live") this.#connectedAt = now();
    if (this.#notice !== null && this.#notice.until < performance.now()) this.#notice = null;
    const words = this.#notice === null ? this.#text() : `${this.#notice.text} · ${this.#text()}`;
    if (this.#words.textContent !== words) this.#words.textContent = words;
    // Screen readers read the text when the connection is lost, and not every second.
    this.#element.setAttribute("aria-live", this.#state === "lost" || this.#notice !== null ? "assertive" : "off");
  }

  #text() {
    switch (this.#state) {
      case "live": {
        const parts = [this.#interval > 0 ? `live, every ${age(this.#interval)}` : "live"];
        if (this.#changedAt !== null) parts.push(`last event ${age(now() - this.#changedAt)} ago`);
        return parts.join(" · ");
      }
      case "ended": return "finished";
      case "past": return "showing the past";
      case "lost": {
        const rest = Math.max(0, Math.ceil((this.#retryAt - performance.now()) / 1000));
        return `${this.#reason} · as of ${secondText(new Date(this.#connectedAt))}, ${age(now() - this.#connectedAt)} ago · `
          + (rest > 0 ? `trying again in ${rest}\u202fs` : "trying again");
      }
      default: return this.#words.textContent;
    }
  }
}
