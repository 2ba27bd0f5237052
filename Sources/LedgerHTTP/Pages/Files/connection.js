// Says whether what is shown is live, how old it is, and that the connection is lost.

import { clock, duration } from "./text.js";

export class Connection {
  #element = document.querySelector("#connection");
  #words = this.#element.querySelector(".words");
  #state = "still";
  #changedAt = null;
  #heardAt = new Date();
  #retryAt = 0;

  constructor() {
    setInterval(() => this.#show(), 1000);
  }

  /** @param {string} state "live", "lost", "ended" or "past" */
  set(state, pause = 0) {
    if (this.#state === "live" && state === "lost") this.#heardAt = new Date();
    this.#state = state;
    this.#retryAt = Date.now() + pause;
    this.#element.dataset.state = state;
    document.body.classList.toggle("lost", state === "lost");
    this.#show();
  }

  /** What is shown was recorded then. */
  changed(moment) {
    this.#changedAt = moment === null ? null : new Date(moment);
    this.#show();
  }

  #show() {
    const words = this.#text();
    if (this.#words.textContent !== words) this.#words.textContent = words;
    // Read out when it changes between live and lost, and not each second.
    this.#element.setAttribute("aria-live", this.#state === "lost" ? "assertive" : "off");
  }

  #text() {
    const age = this.#changedAt === null ? "" : `changed ${duration(Date.now() - this.#changedAt)} ago`;
    switch (this.#state) {
      case "live": return age === "" ? "live" : `live · ${age}`;
      case "ended": return "finished";
      case "past": return "a moment of the past";
      case "lost": {
        const rest = Math.max(0, Math.ceil((this.#retryAt - Date.now()) / 1000));
        return `connection lost · as of ${clock(this.#heardAt)}, ${duration(Date.now() - this.#heardAt)} ago · `
          + (rest > 0 ? `trying again in ${rest}\u202fs` : "trying again");
      }
      default: return this.#words.textContent;
    }
  }
}
