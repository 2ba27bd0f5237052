// Keeps the bars of a job up to date. Pages/IndicatorRow.swift renders the same rows.

import { now } from "./clock.js";
import { age, amount, difference, executionText, firstLine, number, percent, rate, unitText, visible } from "./text.js";

const rateWindow = 30_000; // A rate is the mean over the last so many milliseconds that the page has seen.
const noteTime = 20_000; // Milliseconds for which a row shows why its numbers changed.
const finishedShownMax = 3; // The number of finished indicators up to which they stay among the others.
const openShownMax = 12; // The maximum number of other indicators that are not folded.

/** The status of an indicator. `Snapshot.Indicator.Status` in Swift lists the values. */
function statusOf(indicator, state) {
  const { done, total } = indicator;
  if (total == 0) return done == 0 ? "empty" : "unknown";
  if (done >= total) return done == total ? "complete" : "over";
  if (done == 0) return "waiting";
  return state === "running" && indicator.stalled_since ? "stalled" : "moving";
}

function spoken(indicator) {
  const unit = indicator.unit ? ` ${indicator.unit}` : "";
  if (indicator.percent === null) {
    return indicator.done == 0 ? "nothing declared" : `${indicator.done}${unit} done, total unknown`;
  }
  return `${indicator.done} of ${indicator.total}${unit}, ${indicator.percent} percent`;
}

/** Sets a text if it has changed, which spares the browser a layout. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a percentage, or null, in a bar. */
export function setBar(bar, value, text) {
  const shown = value === null ? 0 : Math.min(100, Number(value));
  bar.querySelector(".fill").setAttribute("width", `${shown}%`);
  if (value === null) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(shown));
  bar.setAttribute("aria-valuetext", text);
  bar.setAttribute("aria-label", text);
}

class Row {
  #parts;
  #indicator = null;
  #samples = [];
  #note = null;

  constructor(element) {
    this.element = element;
    this.#parts = Object.fromEntries(
      ["bar", "percent", "done", "total", "unit", "rate", "note", "label"].map((name) => [name, element.querySelector(`.${name}`)]));
  }

  /** Makes a row for an indicator that is new on the page. */
  static make(indicator, link) {
    const row = new Row(document.querySelector("#indicator").content.firstElementChild.cloneNode(true));
    row.element.dataset.label = indicator.label ?? "";
    row.#parts.label.href = link;
    if (indicator.label !== null) {
      const name = document.createElement("bdi");
      name.textContent = visible(indicator.label);
      row.#parts.label.replaceChildren(name);
    }
    return row;
  }

  /** Shows an indicator of a new snapshot; true if a number fell. */
  update(indicator, time) {
    const before = this.#indicator;
    this.#indicator = indicator;
    if (before !== null && ["done", "total", "carried_done", "unit"].every((name) => before[name] === indicator[name])) {
      return false;
    }
    this.#addSample(indicator, time);
    setText(this.#parts.percent, percent(indicator.percent));
    setText(this.#parts.done, amount(indicator.done, indicator.unit));
    setText(this.#parts.total, indicator.total == 0 ? "" : `\u2009/\u2009${amount(indicator.total, indicator.unit)}`);
    setText(this.#parts.unit, unitText(indicator.unit));
    setBar(this.#parts.bar, indicator.percent, `${indicator.label ?? "default"}: ${spoken(indicator)}`);
    if (before === null) return false;
    if (indicator.done < before.done || indicator.total < before.total) {
      this.setNote("fell", decreaseText(before, indicator), time);
      return true;
    }
    if (indicator.total > before.total && before.total != 0) {
      this.setNote("grew", `total +${amount(difference(indicator.total, before.total), indicator.unit)}`, time);
    }
    return false;
  }

  /** The unit of the indicator; null without one. */
  get unit() {
    return this.#indicator?.unit ?? null;
  }

  setNote(kind, text, time) {
    this.#note = { kind, text, until: time + noteTime };
  }

  /** Shows what changes with time alone. */
  tick(state, time) {
    const indicator = this.#indicator;
    if (indicator === null) return;
    const status = statusOf(indicator, state);
    if (this.element.dataset.status !== status) this.element.dataset.status = status;
    if (this.#note !== null && this.#note.until < time) this.#note = null;
    const note = this.#parts.note;
    note.classList.toggle("fell", this.#note?.kind === "fell");
    note.classList.toggle("grew", this.#note?.kind === "grew");
    setText(note, this.#note?.text ?? noteText(indicator, status, time));
    setText(this.#parts.rate, state === "running" && (status === "moving" || status === "unknown") ? rate(this.#rate(time), indicator.unit) : "");
  }

  /** Adds the units that were done so far. Carried units are not among them: an earlier execution did them. */
  #addSample(indicator, time) {
    const own = Number(difference(indicator.done, indicator.carried_done ?? 0));
    // After a supersession the units before it are no measure.
    if (own < this.#samples.at(-1)?.own) this.#samples = [];
    this.#samples.push({ time, own });
  }

  /** The recent units per second: as the page has seen them, or, as long as it has not seen any, by the server. */
  #rate(time) {
    while (this.#samples.length > 2 && this.#samples[0].time < time - rateWindow) this.#samples.shift();
    const first = this.#samples[0], last = this.#samples.at(-1);
    if (first === undefined) return 0;
    // The window ends now, so the rate falls while nothing is reported.
    if (last.own > first.own) return (last.own - first.own) / Math.max(1, (time - first.time) / 1000);
    return time - first.time < rateWindow ? Number(this.#indicator.rate ?? 0) : 0;
  }

  /** The status and the text of the rate. */
  get status() {
    return this.element.dataset.status;
  }

  get rateText() {
    return this.#parts.rate.textContent;
  }
}

function decreaseText(before, after) {
  const parts = [];
  if (after.done < before.done) parts.push(`−${amount(difference(before.done, after.done), after.unit)}`);
  if (after.total < before.total) parts.push(`total −${amount(difference(before.total, after.total), after.unit)}`);
  return parts.join(", ");
}

/** What the numbers do not show: the status, and the newest message. */
function noteText(indicator, status, time) {
  return [statusText(indicator, status, time), firstLine(indicator.message)].filter((text) => text !== "").join(": ");
}

function statusText(indicator, status, time) {
  switch (status) {
    case "empty": return "no units declared";
    case "unknown": return "total unknown";
    case "over": return `${amount(difference(indicator.done, indicator.total), indicator.unit)} more than declared`;
    case "stalled": return `stalled for ${age(time - Date.parse(indicator.stalled_since))}`;
    default: return "";
  }
}

/** A list of rows that may be folded. */
class RowList {
  #list;
  #fold;

  constructor(list) {
    this.#list = list;
    this.#fold = list.closest("details");
  }

  get elements() {
    return [...this.#list.children];
  }

  /** Shows these rows in this order, and moves only those that have to. */
  show(rows) {
    let next = this.#list.firstElementChild;
    for (const row of rows) {
      if (row.element === next) next = next.nextElementSibling;
      else this.#list.insertBefore(row.element, next);
    }
    if (this.#fold === null) return;
    if (this.#fold.hidden !== (rows.length === 0)) this.#fold.hidden = rows.length === 0;
    setText(this.#fold.querySelector(".count"), number(rows.length));
  }
}

/** All bars of a job, grouped as Pages/IndicatorList.swift does. */
export class Indicators {
  #section = document.querySelector("#indicators");
  #empty = document.querySelector("#indicators .empty");
  #open = new RowList(document.querySelector("#indicators > ul"));
  #more = new RowList(document.querySelector("#indicators [data-key=more] ul"));
  #finished = new RowList(document.querySelector("#indicators [data-key=finished] ul"));
  #rows = new Map();
  #order = []; // The labels in the order of the snapshot.
  #shown = ""; // The groups that are shown.
  #link;
  #state = "running";

  /** @param {function(string): string} link Returns the address at which an indicator is explained. */
  constructor(link) {
    this.#link = link;
    for (const element of this.#section.querySelectorAll("li.indicator")) this.#rows.set(element.dataset.label, new Row(element));
  }

  /** Shows a snapshot; returns the labels whose numbers fell. */
  show(job) {
    const time = now();
    this.#state = job.state;
    const fell = [];
    this.#order = job.progress.map((indicator) => indicator.label ?? "");
    const labels = new Set(this.#order);
    // Rows are removed first, so that no remaining row has to move.
    for (const [label, row] of this.#rows) {
      if (labels.has(label)) continue;
      row.element.remove();
      this.#rows.delete(label);
      this.#shown = "";
    }
    for (const indicator of job.progress) {
      const label = indicator.label ?? "";
      let row = this.#rows.get(label);
      if (row === undefined) {
        row = Row.make(indicator, this.#link(label));
        this.#rows.set(label, row);
      }
      if (row.update(indicator, time)) fell.push(label);
    }
    this.#empty.hidden = labels.size > 0;
    this.tick();
    return fell;
  }

  /** Groups the rows: those that need attention first, and the finished ones folded. */
  #arrange() {
    const rows = this.#order.map((label) => this.#rows.get(label));
    const shown = rows.map((row) => row.status).join(" ") + this.#state;
    if (shown === this.#shown) return;
    this.#shown = shown;
    const isComplete = (row) => row.status === "complete";
    const folds = rows.filter(isComplete).length > finishedShownMax;
    const open = folds ? rows.filter((row) => !isComplete(row)) : rows;
    const needsAttention = (row) => row.status === "stalled" || this.#state === "failed" && !isComplete(row);
    const sorted = [...open.filter(needsAttention), ...open.filter((row) => !needsAttention(row))];
    this.#open.show(sorted.slice(0, openShownMax));
    this.#more.show(sorted.slice(openShownMax));
    this.#finished.show(folds ? rows.filter(isComplete) : []);
  }

  /** The speed of an indicator in words; empty if it does not move. */
  rateText(label) {
    return this.#rows.get(label ?? "")?.rateText ?? "";
  }

  tick() {
    const time = now();
    for (const row of this.#rows.values()) row.tick(this.#state, time);
    this.#arrange();
  }

  /** Shows why numbers fell: the superseded executions, and the units that they had contributed. */
  explain(superseded) {
    const time = now();
    for (const [label, row] of this.#rows) {
      const causes = superseded.flatMap((change) => change.lost.filter((lost) => (lost.label ?? "") === label)
        .filter((lost) => lost.done > 0 || lost.total > 0).map((lost) => ({ change, lost })));
      if (causes.length === 0) continue;
      const { change, lost } = causes.at(-1);
      const units = lost.done > 0 ? `−${amount(lost.done, row.unit)}` : `total −${amount(lost.total, row.unit)}`;
      const more = causes.length > 1 ? `, and ${causes.length - 1} more` : "";
      row.setNote("fell", `${units}: ${visible(change.task)} restarted, ${executionText(change.superseded_by)}${more}`, time);
    }
    this.tick();
  }
}
