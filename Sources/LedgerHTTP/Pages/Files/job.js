// Makes the page of a job live. Without it the page shows the job as it was when it was loaded.

import { learnAtLeast, now } from "./clock.js";
import { Connection } from "./connection.js";
import "./copy.js";
import { followJob } from "./feed.js";
import { Indicators } from "./indicators.js";
import { Part, fetchPart } from "./parts.js";
import { patch } from "./patch.js";
import "./session.js";
import { showSilences } from "./silence.js";
import { StatusError } from "./stream.js";
import { duration, firstLine, number, parse, percent, reasonText, remaining, silentCountText, trackRecordText, visible } from "./text.js";
import { makeTime, setTime } from "./times.js";
import { urgencyOf } from "./urgency.js";

const main = document.querySelector("#job");
const id = main.dataset.job;
const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.

const tableInterval = 2_000; // Tables are not fetched more often than this.
const manyTasks = 10_000; // The number of tasks beyond which sorting or searching them takes noticeably long.
const manyTasksInterval = 10_000; // Milliseconds between two requests for a sorted or searched table of so many.
// The server reads the whole history for the chart.
const longChartInterval = 10_000; // Milliseconds between two requests for the chart of a long history.
const longChartEvents = 5_000; // The number of events beyond which a history is long.
const chartEventsMax = 50_000; // The number of events beyond which the chart is fetched only on request.
const chartSteps = 200; // The chart of a running job is fetched again when its time axis has grown by one of so many parts,
const chartStepMin = 15_000; // and not more often than this, in milliseconds.
const tasksOnPage = 50; // The number of tasks up to which all are drawn with the table, so that there is no timeline of all.
const shortTimeline = 5_000; // The numbers of executions beyond which the timeline is fetched less often,
const longTimeline = 50_000;
const longTimelineInterval = 30_000;
const timelineExecutionsMax = 200_000; // and beyond which it is fetched only on request.
const chainInterval = 10_000;
const chainEventsMax = 20_000; // Up to this many events the chain is verified when the page is opened and when the job ends.
const chainRunningEventsMax = 2_000; // Up to this many events the chain is also verified while the job is running.
const busyRetriesMax = 6; // The maximum number of retries while the server is too busy.
const retryPause = 700; // Milliseconds before the viewer's choice is tried again; doubles with each attempt.
const retryPauseMax = 15_000;
const explainDelayMax = 500;
const lagMax = 10_000; // Milliseconds that one of several servers may lag behind another.

const hiddenInterval = 10_000; // Milliseconds between polls of a hidden page, for its title and icon.

let address = new URL(location.href);
let job = null;
let text = null;
let version = `${main.dataset.sequence} ${main.dataset.updated}`;
let changes = 0;
let indicators = null;
let chartStepShown = null;
let chartTime = 0; // The number of times that the chart was requested without an event.

document.body.classList.add("scripted");
const connection = new Connection();

const isPast = () => address.searchParams.get("at_sequence") !== null || address.searchParams.get("at") !== null;
const eventCount = () => Number(job?.ledger_sequence ?? main.dataset.head);

// Parts that the server renders

function makePart(name, interval, applies, afterwards) {
  return new Part(name, { address: () => address, interval, applies: () => !isPast() && applies(), afterwards, version });
}

const parts = [
  makePart("chain", () => chainInterval,
    () => eventCount() <= (job?.state === "running" ? chainRunningEventsMax : chainEventsMax)),
  makePart("stalls", () => tableInterval, () => true, tick),
  makePart("failures", () => tableInterval, () => true),
  makePart("tasks", tasksInterval, () => !address.searchParams.has("cursor"), tick),
  makePart("events", () => tableInterval, () => !address.searchParams.has("before")),
  makePart("explanation", () => tableInterval,
    () => address.searchParams.has("indicator") && !address.searchParams.has("from")),
];
const timeline = makePart("timeline", timelineInterval,
  () => Number(job?.tasks.total ?? 0) > tasksOnPage && Number(job.tasks.executions) <= timelineExecutionsMax);
const chart = makePart("chart", () => (eventCount() <= longChartEvents ? tableInterval : longChartInterval),
  () => eventCount() <= chartEventsMax);

function tasksInterval() {
  const isIndexed = !["find", "order"].some((name) => address.searchParams.has(name));
  return isIndexed || Number(job?.tasks.total ?? 0) <= manyTasks ? tableInterval : manyTasksInterval;
}

/** The server reads all executions for the timeline. */
function timelineInterval() {
  const count = Number(job?.tasks.executions ?? 0);
  return count <= shortTimeline ? tableInterval : count <= longTimeline ? longChartInterval : longTimelineInterval;
}

/** The figures of a running job end now, so they change without events, too. */
function requestFigures() {
  const start = Date.parse(job.started_at ?? job.created_at);
  const step = Math.max(chartStepMin, (now() - start) / chartSteps);
  const steps = job.state === "running" ? Math.floor((now() - start) / step) : 0;
  if (chartStepShown !== null && steps !== chartStepShown) chartTime += 1;
  chartStepShown = steps;
  for (const part of [chart, timeline]) part.request(chartTime === 0 ? version : `${version} ${chartTime}`);
}

// The snapshot

/** Shows a snapshot, even one with a lower sequence than before: a failover may have lost events. */
function show(received) {
  const next = parse(received);
  learnAtLeast(Date.parse(next.now));
  // A repeated snapshot differs only in its time.
  const content = received.replace(/"now":"[^"]*"/, "");
  const isNew = content !== text;
  const before = job;
  text = content;
  job = next;
  showTitle();
  if (isPast()) return;
  if (isNew) showFigures();
  indicators ??= new Indicators(indicatorLink);
  const fell = indicators.show(job);
  if (before !== null && job.sequence < before.sequence) reportStepBack(before.sequence);
  else if (before !== null && fell.length > 0) explainDecrease(before.sequence);
  tick();
  connection.changed(job.updated_at);
  // The page contains the parts; they are fetched if the job has changed since.
  const isAsLoaded = before === null && version === `${job.sequence} ${job.updated_at ?? ""}`
    // They begin without an event, perhaps since the page was rendered.
    && main.dataset.stalls === `${job.tasks.silent} ${job.stalled_since ?? ""}`;
  if (isNew && !isAsLoaded) {
    changes += 1;
    version = `${job.sequence} ${job.updated_at ?? ""} ${changes}`;
  }
  for (const part of parts) part.request(version);
  requestFigures();
}

function showFigures() {
  const head = document.querySelector("#head");
  // The line of the estimate stays when it becomes empty, so that nothing moves.
  if (head.dataset.state === "running" && job.state !== "running") head.classList.add("was-running");
  head.dataset.state = job.state;
  head.querySelector(".state").textContent = job.state;
  head.querySelector(".overall").textContent = percent(job.percent);
  for (const [name, value] of Object.entries(job.tasks)) {
    const count = head.querySelector(`[data-count="${CSS.escape(name)}"]`);
    if (count === null) continue;
    count.dataset.zero = String(value == 0);
    (count.querySelector("dd a") ?? count.querySelector("dd")).textContent = name === "silent" ? silentCountText(job.tasks) : number(value);
  }
  head.querySelector(".idle").replaceChildren(...(typeof job.idle_since !== "string" ? []
    : ["idle since ", makeTime(job.idle_since), ": all tasks have ended"]));
  showGrounds(head.querySelector(".grounds"));
  head.querySelector(".newest").textContent = firstLine(job.message);
  head.querySelector(".late").hidden = urgencyOf(job, head.dataset.deadline) !== "late";
  const silence = head.querySelector(".silence");
  if (silence !== null) silence.dataset.since = job.stalled_since ?? "";
  document.querySelector("#moment .sequence").textContent = number(job.sequence);
  const slider = document.querySelector("#at");
  slider.max = String(job.ledger_sequence);
  if (document.activeElement !== slider) slider.value = slider.max;
}

/** Shows the awaited work and the track record, or the reason for no prediction, as EstimateText.swift does. */
function showGrounds(element) {
  const grounds = document.createElement("span");
  grounds.className = "grounds";
  const { estimate } = job;
  if (!estimate?.remaining_seconds) {
    const words = reasonText(estimate?.reason);
    grounds.append(...(words === "" ? [] : [`no estimate: ${words}`]));
  } else {
    if (estimate.waiting_for !== null) grounds.append(awaited(estimate.waiting_for));
    const record = trackRecordText(estimate.track_record);
    if (record !== "") grounds.append(spanned(record));
  }
  patch(element, grounds);
}

function awaited({ label, tasks }) {
  const named = (text, tag = "bdi") => Object.assign(document.createElement(tag), { textContent: text });
  const names = tasks.flatMap((task, index) => [index === 0 ? ": " : ", ", named(visible(task))]);
  return spanned("waits for ", label === null ? named("default", "i") : named(visible(label)), ...names);
}

function spanned(...content) {
  const span = document.createElement("span");
  span.append(...content);
  return span;
}

function showFinish() {
  const finish = document.querySelector("#head .finish");
  const words = job.state === "running" ? remaining(job.estimate, now()) : "";
  if (words === "") return finish.replaceChildren();
  if (finish.querySelector(".end time") === null) {
    const [left, end] = [spanned(), spanned("until ", makeTime(job.estimate.finish_at.p50))];
    [left.className, end.className] = ["left", "end"];
    finish.replaceChildren(left, " ", end);
  }
  finish.querySelector(".left").textContent = `${words} left`;
  setTime(finish.querySelector(".end time"), job.estimate.finish_at.p50);
}

/** Shows the speed of the indicator that is being worked on, as JobPage.swift does. */
function showRate() {
  const isOpen = (indicator) => indicator.done < indicator.total;
  const current = job.progress.find((indicator) => isOpen(indicator) && indicator.done > 0)
    ?? job.progress.find(isOpen) ?? job.progress.at(-1);
  const element = document.querySelector("#head .rate");
  const speed = current === undefined || job.state !== "running" ? "" : indicators?.rateText(current.label) ?? "";
  const label = speed === "" || current.label === null ? "" : visible(current.label);
  if (element.textContent === `${label === "" ? "" : `${label}: `}${speed}`) return;
  const name = document.createElement("bdi");
  name.textContent = label;
  element.replaceChildren(...(label === "" ? [] : [name, ": "]), speed);
}

function showTitle() {
  const name = document.querySelector("#head h1 bdi").textContent;
  const title = `${job.percent === null ? "" : `${job.percent}% `}${name} – progress ledger`;
  if (document.title !== title) document.title = title;
  const icon = new URL(`pages/icon.svg?state=${job.state}${job.percent === null ? "" : `&percent=${job.percent}`}`, base);
  const link = document.querySelector("link[rel=icon]");
  if (link.href !== icon.href) link.setAttribute("href", icon.pathname + icon.search);
}

let explainedFrom = null; // The snapshot before the first decrease that has not been explained.

/**
 * Requests the cause of a decrease, after a random delay, because all pages that show the job request it.
 *
 * One request covers all decreases until then.
 */
function explainDecrease(sequence) {
  const isScheduled = explainedFrom !== null;
  explainedFrom ??= sequence;
  if (isScheduled) return;
  setTimeout(async () => {
    const from = explainedFrom;
    explainedFrom = null;
    if (from >= job.sequence) return;
    try {
      const response = await fetch(new URL(`v1/jobs/${id}/diff?from=${from}&to=${job.sequence}&limit=50`, base));
      if (response.ok) indicators?.explain(parse(await response.text()).superseded.first);
    } catch { /* The row shows that the number fell; the chart and the events show why. */ }
  }, Math.random() * explainDelayMax);
}

/** Reports that the ledger may have lost events, unless another server lagged only for a moment. */
function reportStepBack(from) {
  setTimeout(() => {
    if (job.sequence < from) {
      connection.notify(`the database went back from event ${number(from)} to ${number(job.sequence)}: events may be lost`);
    }
  }, lagMax);
}

function tick() {
  // Without a connection the page keeps its last state, because later reports are unknown.
  if (job === null || isPast() || connection.state === "lost") return;
  const start = Date.parse(job.started_at ?? job.created_at);
  const end = job.finished_at === null ? now() : Date.parse(job.finished_at);
  document.querySelector("#head .elapsed").textContent = duration(end - start);
  showFinish();
  indicators?.tick();
  showRate();
  requestFigures();
  showSilences(() => job.state === "running");
}

const feed = followJob(id, {
  hiddenInterval,
  show(received) {
    show(received);
    return job;
  },
  state(state, detail, error) {
    if (!isPast()) connection.set(state, detail, error);
  },
});

document.addEventListener("visibilitychange", () => [...parts, chart, timeline].forEach((part) => part.schedule()));

/** Follows the job if the page shows the present; a page of the past does not change. */
function follow() {
  if (isPast()) {
    feed.pause();
    connection.set("past");
  } else {
    feed.resume();
  }
}

function indicatorLink(label) {
  const url = new URL(address);
  for (const name of ["cursor", "before", "from", "executions", "chart"]) url.searchParams.delete(name);
  url.searchParams.set("indicator", label);
  url.hash = "explanation";
  return url.pathname + url.search + url.hash;
}

// Other addresses of the page

let navigation = null; // Aborts the request for the latest address.

/** Shows the page at another of its addresses. */
async function go(url, { replaces = false, focus = null, retries = 0 } = {}) {
  navigation?.abort();
  const control = new AbortController();
  navigation = control;
  try {
    const changesMoment = differs(url, "at", "at_sequence");
    const names = changesMoment ? ["all"] : changedParts(url);
    const made = await Promise.all(names.map((name) => fetchPart(name, url, control.signal)));
    if (control.signal.aborted) return;
    address = url;
    if (replaces) history.replaceState(null, "", url); else history.pushState(null, "", url);
    connection.notify(null);
    for (const element of made.flat()) {
      const shown = document.getElementById(element.id);
      if (shown === null) continue;
      if (element.id === "moment") showMoment(shown, element); else patch(shown, element, true);
    }
    if (changesMoment) {
      indicators = null;
      text = null;
      job = isPast() ? job : null;
      follow();
    } else {
      markSelected();
    }
    tick();
    if (focus !== null) document.querySelector(focus)?.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (control.signal.aborted) return;
    const isStatus = error instanceof StatusError;
    // The server reads too many histories at once, for example while the viewer moves the slider over its whole length.
    if (isStatus && (error.status !== 503 || retries >= busyRetriesMax)) {
      location.assign(url); // The browser shows the whole page with the error.
      return;
    }
    // Without a connection the page does not change until there is one, or until the viewer makes another choice.
    connection.notify(isStatus ? "the server is busy; trying again" : "no connection; your choice is tried again");
    const pause = Math.min(retryPauseMax, Math.max(error.retryAfter ?? 0, retryPause * 2 ** Math.min(retries, 10)));
    setTimeout(() => control.signal.aborted || go(url, { replaces, focus, retries: retries + 1 }), pause);
  }
}

/** Changes the section with the slider, but not a slider that the viewer is moving. */
function showMoment(shown, made) {
  shown.className = made.className;
  patch(shown.querySelector(".words"), made.querySelector(".words"));
  patch(shown.querySelector("#chain"), made.querySelector("#chain"));
  const slider = shown.querySelector("#at"), next = made.querySelector("#at");
  slider.max = next.max;
  if (document.activeElement !== slider) slider.value = next.value;
  slider.setAttribute("aria-valuetext", next.getAttribute("aria-valuetext"));
}

const differs = (url, ...names) =>
  names.some((name) => url.searchParams.get(name) !== address.searchParams.get(name));

/** The parts of the page that differ at another address. */
function changedParts(url) {
  const names = [];
  if (url.searchParams.has("verify")) names.push("chain");
  if (differs(url, "indicator", "from", "executions")) names.push("explanation");
  if (differs(url, "indicator", "chart") || url.searchParams.has("draw")) names.push("chart");
  if (url.searchParams.has("draw")) names.push("timeline");
  if (differs(url, "state", "silent", "find", "order", "cursor")) names.push("tasks");
  if (differs(url, "type", "verdict", "task", "before")) names.push("events");
  return names;
}

function markSelected() {
  const selected = address.searchParams.get("indicator");
  for (const row of document.querySelectorAll(".indicator")) {
    const label = row.querySelector(".label");
    if (row.dataset.label === selected) label.setAttribute("aria-current", "true");
    else label.removeAttribute("aria-current");
  }
}

addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]") ?? null;
  if (link === null || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.getAttribute("href"), location.href);
  if (url.pathname !== location.pathname || url.origin !== location.origin || !main.contains(link)) return;
  if (link.hasAttribute("download")) return;
  event.preventDefault();
  go(url, { focus: url.hash === "" ? null : url.hash });
});

addEventListener("submit", (event) => {
  const url = new URL(event.target.action);
  for (const { name, value, type, checked, dataset } of event.target.elements) {
    if (name === "" || type === "checkbox" && !checked) continue;
    // The default indicator has no name.
    if (value !== "" || type === "hidden" || "keepsEmpty" in dataset) url.searchParams.append(name, value);
  }
  if (url.pathname !== location.pathname) return;
  event.preventDefault();
  go(url);
});

addEventListener("change", (event) => {
  if (event.target.matches("select")) event.target.form.requestSubmit();
});

// The slider shows the page as of any event, while it is moved.
let sliding = 0;
addEventListener("input", (event) => {
  if (event.target.id !== "at") return;
  const slider = event.target;
  slider.setAttribute("aria-valuetext", `event ${slider.value}`);
  clearTimeout(sliding);
  sliding = setTimeout(() => {
    const url = new URL(address);
    for (const name of ["at", "before", "cursor", "from"]) url.searchParams.delete(name);
    url.hash = "";
    if (slider.value === slider.max) url.searchParams.delete("at_sequence");
    else url.searchParams.set("at_sequence", slider.value);
    if (url.href !== address.href) go(url, { replaces: isPast() });
  }, 120);
});

addEventListener("popstate", () => go(new URL(location.href), { replaces: true }));
setInterval(tick, 1000);

follow();
if (eventCount() <= chainEventsMax) verify();

/** Verifies the chain when the page is opened. */
async function verify() {
  try {
    const [made] = await fetchPart("chain", address);
    if (made?.id === "chain") patch(document.querySelector("#chain"), made);
  } catch { /* The link that verifies on request stays. */ }
}
