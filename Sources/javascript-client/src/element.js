// The element <progress-ledger-job>, which shows a live job in any page.
//
// It needs no inline script or style, and sets all texts by `textContent`.

import { elementStyle } from "./elementStyle.js";
import { age, amount, clockTime, number, percentage, visible } from "./format.js";
import { follow } from "./liveJob.js";

/** @typedef {import("./model.js").Snapshot} Snapshot */
/** @typedef {import("./model.js").Indicator} Indicator */
/** @typedef {import("./liveJob.js").LiveState} LiveState */

/** The milliseconds between two updates of what changes with time alone. */
const tickPause = 5_000;
/** The maximum number of indicators that are shown. */
const indicatorsMax = 50;
/** The remaining seconds above which an estimate says nothing: ten years. */
const remainingMax = 315_360_000;
/** The steps of the percentage that are announced to screen readers. */
const announcedStep = 25;

/**
 * An element with a class, which is also its part, and children.
 * @param {string} tag @param {string} name @param {...Node} children
 */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  element.className = name;
  element.setAttribute("part", name);
  element.append(...children);
  return element;
}

/**
 * Sets a text if it has changed, which spares the browser a layout. An empty element is hidden.
 * @param {HTMLElement} element @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
  if (element.hidden !== (text === "")) element.hidden = text === "";
}

/**
 * The lines of a message, between separators.
 * @param {string | null} message @param {string} separator
 */
function lines(message, separator) {
  return (message ?? "").split("\n").map(visible).join(separator);
}

/** A progress bar, also for screen readers. */
class Bar {
  #fill = make("div", "fill");
  element = make("div", "bar", this.#fill);

  constructor() {
    this.element.setAttribute("role", "progressbar");
    this.element.setAttribute("aria-valuemin", "0");
    this.element.setAttribute("aria-valuemax", "100");
  }

  /** @param {number | null} percent @param {string} label @param {string} words */
  show(percent, label, words) {
    const value = percent === null ? null : Math.min(100, Math.max(0, percent));
    this.#fill.style.width = `${value ?? 0}%`;
    this.element.setAttribute("aria-label", label);
    this.element.setAttribute("aria-valuetext", words);
    if (value === null) this.element.removeAttribute("aria-valuenow");
    else this.element.setAttribute("aria-valuenow", String(value));
  }
}

/** The row of one indicator. */
class Row {
  #label = document.createElement("bdi");
  #bar = new Bar();
  #percent = make("span", "percent");
  #count = make("span", "count");
  #note = make("span", "note");
  element = make(
    "li", "indicator", make("span", "label", this.#label), this.#bar.element, this.#percent, this.#count, this.#note);

  /** @param {Indicator} indicator @param {Snapshot} snapshot */
  show(indicator, snapshot) {
    const status = statusOf(indicator, snapshot);
    const label = visible(indicator.label ?? "default");
    const { done, total, unit, percent } = indicator;
    this.element.dataset.status = status;
    setText(this.#label, label);
    this.#bar.show(percent, label, total === 0n ? `${done} done, total unknown` : `${done} of ${total}, ${percent} percent`);
    this.#percent.textContent = percentage(percent);
    const named = unit === null || unit === "bytes" ? "" : ` ${visible(unit)}`;
    this.#count.textContent = `${amount(done, unit)}${total === 0n ? "" : `\u2009/\u2009${amount(total, unit)}`}${named}`;
    this.#note.dataset.kind = status;
    const notes = [noteOf(indicator, snapshot, status), lines(indicator.message, " ")];
    setText(this.#note, notes.filter((note) => note !== "").join(" · "));
  }
}

/** @param {Indicator} indicator @param {Snapshot} snapshot */
function statusOf({ done, total, stalledSince }, { isFinished }) {
  if (total === 0n) return done === 0n ? "empty" : "unknown";
  if (done >= total) return done === total ? "complete" : "over";
  return stalledSince !== null && !isFinished ? "stalled" : "moving";
}

/** @param {Indicator} indicator @param {Snapshot} snapshot @param {string} status */
function noteOf({ done, total, unit, stalledSince }, snapshot, status) {
  switch (status) {
    case "empty": return "no units declared";
    case "unknown": return "total unknown";
    case "over": return `${amount(done - total, unit)} more than declared`;
    case "stalled": return `stalled for ${age(snapshot.since(stalledSince) ?? 0)}`;
    default: return "";
  }
}

/**
 * The base of the element; a class that does nothing outside of browsers, so that the module can be imported
 * anywhere.
 */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

/**
 * `<progress-ledger-job job="ID" src="https://ledger.example" token="pl_…">` shows a live job: its state, bars,
 * remaining time, stalls, failures and newest message.
 *
 * - `job`: the id of the job.
 * - `src`: the URL of the ledger, by default the page's own server. It must permit the origin of the page
 *   (`--cors-origin`).
 * - `token`: a token that may read this job only. Every reader of the page can read it.
 * - `theme`: `light` or `dark`; by default that of the system.
 *
 * It follows the job while it is part of the document. Its parts are `card`, `header`, `name`, `state`, `overall`,
 * `percent`, `bar`, `fill`, `finish`, `failures`, `warning`, `message`, `indicators`, `indicator`, `label`, `count`,
 * `note`, `more`, `error` and `connection`. Each new snapshot is a `progress-ledger-snapshot` event.
 */
export class ProgressLedgerJobElement extends Base {
  static observedAttributes = ["job", "src", "token"];

  #name = document.createElement("bdi");
  #state = make("span", "state");
  #overall = new Bar();
  #percent = make("span", "percent");
  #top = make("div", "overall", this.#overall.element, this.#percent);
  #finish = make("p", "finish");
  #failures = make("p", "failures");
  #warning = make("p", "warning");
  #message = make("p", "message");
  #indicators = make("ul", "indicators");
  #more = make("p", "more");
  #error = make("p", "error");
  #connection = make("p", "connection");
  #live = make("p", "live");
  #card = make("section", "card",
    make("header", "header", make("span", "name", this.#name), this.#state), this.#top,
    this.#finish, this.#failures, this.#warning, this.#message, this.#indicators, this.#more, this.#error, this.#connection, this.#live);
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {(() => void) | null} */
  #unfollow = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {LiveState | null} */
  #shown = null;
  #isChanging = false;
  /** What was announced last, by kind. @type {Map<string, string>} */
  #announced = new Map();

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [elementStyle()];
    root.append(this.#card);
    this.#live.setAttribute("role", "status");
    this.#live.setAttribute("aria-live", "polite");
    this.#card.dataset.state = "";
    const empty = [this.#top, this.#finish, this.#failures, this.#warning, this.#message, this.#more, this.#error];
    for (const part of empty) part.hidden = true;
  }

  /**
   * The last snapshot; null before the first one.
   * @returns {Snapshot | null}
   */
  get snapshot() {
    return this.#shown?.snapshot ?? null;
  }

  connectedCallback() {
    this.#change();
  }

  disconnectedCallback() {
    // An element that is moved is connected again at once, and keeps its connection.
    this.#change();
  }

  attributeChangedCallback() {
    this.#change();
  }

  /** Follows what the attributes name, once all attributes of a change are set. */
  #change() {
    if (this.#isChanging) return;
    this.#isChanging = true;
    queueMicrotask(() => {
      this.#isChanging = false;
      this.#unfollow?.();
      this.#unfollow = null;
      clearInterval(this.#timer);
      if (!this.isConnected) return;
      const job = this.getAttribute("job") ?? "";
      if (job === "") return;
      this.#shown = null;
      setText(this.#name, `Job ${visible(job)}`);
      const src = this.getAttribute("src") ?? location.origin;
      this.#unfollow = follow({ src, job, token: this.getAttribute("token") ?? "" }, (state) => this.#show(state));
      this.#timer = setInterval(() => this.#tick(), tickPause);
    });
  }

  /** @param {LiveState} state */
  #show(state) {
    const isNew = state.snapshot !== null && state.snapshot !== this.#shown?.snapshot;
    this.#shown = state;
    const { snapshot, connection, error } = state;
    this.#card.dataset.connection = connection;
    this.#connection.dataset.state = connection;
    setText(this.#error, error === null ? "" : errorText(error));
    setText(this.#connection, connectionText(state));
    if (snapshot !== null) this.#showSnapshot(snapshot);
    else setText(this.#state, "loading");
    this.#top.hidden = snapshot === null;
    if (error !== null && snapshot === null) setText(this.#state, "not available");
    this.#announce("connection", connection === "lost" ? "Connection to the ledger lost" : error === null ? "" : errorText(error));
    if (isNew) this.dispatchEvent(new CustomEvent("progress-ledger-snapshot", { detail: snapshot }));
  }

  /** @param {Snapshot} snapshot */
  #showSnapshot(snapshot) {
    const { state, percent, tasks } = snapshot;
    const name = visible(snapshot.name);
    this.#card.dataset.state = state;
    setText(this.#name, name);
    setText(this.#state, state);
    this.#overall.show(percent, name, percent === null ? "percentage unknown" : `${percent} percent`);
    setText(this.#percent, percentage(percent));
    const failures = `${number(tasks.failed)} ${tasks.failed === 1 ? "task has" : "tasks have"} failed`;
    setText(this.#failures, tasks.failed === 0 ? "" : failures);
    // The message of an indicator stands beside its bar.
    const isBeside = snapshot.progress.slice(0, indicatorsMax).some(({ message }) => message === snapshot.message);
    setText(this.#message, isBeside ? "" : lines(snapshot.message, "\n"));
    this.#showIndicators(snapshot);
    this.#tick();
    this.#announce("state", `${name}: ${state}`);
    if (!snapshot.isFinished && percent !== null) {
      const step = Math.floor(percent / announcedStep) * announcedStep;
      this.#announce("percent", step > 0 && step < 100 ? `${name}: ${step} percent` : "");
    }
    this.#announce("stalled", snapshot.stalledSince === null || snapshot.isFinished ? "" : `${name} is stalled`);
  }

  /** @param {Snapshot} snapshot */
  #showIndicators(snapshot) {
    const shown = snapshot.progress.slice(0, indicatorsMax);
    const labels = new Set(shown.map(({ label }) => label ?? ""));
    for (const [label, row] of this.#rows) {
      if (labels.has(label)) continue;
      row.element.remove();
      this.#rows.delete(label);
    }
    let next = this.#indicators.firstElementChild;
    for (const indicator of shown) {
      const label = indicator.label ?? "";
      const row = this.#rows.get(label) ?? new Row();
      this.#rows.set(label, row);
      // Rows have the order of the snapshot.
      if (row.element === next) next = next.nextElementSibling;
      else this.#indicators.insertBefore(row.element, next);
    }
    const hidden = snapshot.progress.length - shown.length;
    setText(this.#more, hidden === 0 ? "" : `and ${number(hidden)} more`);
  }

  /** Shows what changes with time alone. */
  #tick() {
    const { snapshot } = this;
    if (snapshot === null) return;
    const clock = snapshot.clock();
    setText(this.#finish, snapshot.isFinished ? "" : finishText(snapshot, clock));
    setText(this.#warning, snapshot.isFinished ? "" : warningText(snapshot));
    for (const indicator of snapshot.progress) this.#rows.get(indicator.label ?? "")?.show(indicator, snapshot);
  }

  /**
   * Announces a change to screen readers: nothing twice, and nothing at first.
   * @param {string} kind @param {string} text
   */
  #announce(kind, text) {
    const before = this.#announced.get(kind);
    this.#announced.set(kind, text);
    if (before !== undefined && before !== text && text !== "") this.#live.textContent = text;
  }
}

/** @param {Snapshot} snapshot @param {Date | null} clock */
function finishText({ estimate, idleSince }, clock) {
  if (idleSince !== null) return "all tasks have ended, the job has not";
  if (estimate === null || estimate.remainingSeconds === null || estimate.remainingSeconds.p50 > remainingMax) return "";
  const end = estimate.finishAt === null || clock === null ? "" : ` left, until ${clockTime(estimate.finishAt.p50, clock)}`;
  return `${estimate.text(clock)}${end}`;
}

/** @param {Snapshot} snapshot */
function warningText(snapshot) {
  const { stalledSince, tasks: { silent } } = snapshot;
  const parts = [];
  if (stalledSince !== null) parts.push(`stalled for ${age(snapshot.since(stalledSince) ?? 0)}`);
  if (silent > 0) parts.push(silent === 1 ? "1 execution is silent" : `${number(silent)} executions are silent`);
  return parts.join(" · ");
}

/** @param {import("./errors.js").LedgerError} error */
function errorText(error) {
  switch (error.code) {
    case "not_found": return "The job does not exist, or the token does not permit it.";
    case "unauthorized": return "The token is not accepted: it may have expired.";
    case "invalid_value": return `The element cannot be used: ${error.message}.`;
    default: return `The job cannot be shown: ${error.message}.`;
  }
}

/** @param {LiveState} state */
function connectionText({ connection, snapshot }) {
  switch (connection) {
    case "connecting": return "connecting";
    case "lost": return snapshot === null ? "cannot reach the ledger; trying again" : "connection lost; trying again";
    default: return "";
  }
}

globalThis.customElements?.define("progress-ledger-job", ProgressLedgerJobElement);
