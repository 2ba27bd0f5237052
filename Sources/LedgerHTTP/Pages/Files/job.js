// Makes the page of a job live. Without it the page shows the job as it was when it was loaded.

import { Connection } from "./connection.js";
import { Indicators, setBar } from "./indicators.js";
import { Stream } from "./stream.js";
import { duration, number, parse, percent } from "./text.js";

const main = document.querySelector("#job");
const id = main.dataset.job;
const connection = new Connection();
const refreshInterval = 2_000; // Tables are read anew no more often than this …
const chartInterval = (events) => (events <= 5_000 ? refreshInterval : 10_000); // … the chart, for which the whole history
const chartEventsMax = 50_000; // is read, than this, and not by itself where it is longer.
const chainEventsMax = 20_000; // Up to so many events the chain is verified unasked: when the page is opened, when the job ends,
const chainInterval = (events) => (events <= 2_000 ? 10_000 : Infinity); // and in between where that costs next to nothing.
const busyPause = 700; // After which a server that was too busy is asked again.
const pollInterval = 10_000; // How often a page that nobody sees asks, for its title and icon.

let address = new URL(location.href);
let job = null;
let indicators = null;
let stream = null;
let poll = 0;

document.body.classList.add("scripted");

// Parts of the page

/** Fetches a part of the page as it is at an address. */
async function part(name, url, signal) {
  const from = new URL(url);
  from.hash = "";
  from.searchParams.set("part", name);
  const answer = await fetch(from, { signal });
  if (!answer.ok) throw Object.assign(new Error(`status ${answer.status}`), { status: answer.status });
  return answer.text();
}

/** Puts a part in place of the one that is shown, keeping what the reader has in hand. */
function replace(selector, markup) {
  const element = document.querySelector(selector);
  const made = document.createRange().createContextualFragment(markup).firstElementChild;
  if (element === null || made === null) return;
  const wide = element.querySelector(".wide")?.scrollLeft ?? 0;
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  // Whoever is about to choose something is not disturbed.
  if (active?.matches("select, input")) return;
  const focus = active === null ? null : (active.matches(".wide") ? ".wide" : active.getAttribute("href"));
  element.replaceWith(made);
  if (made.querySelector(".wide")) made.querySelector(".wide").scrollLeft = wide;
  if (focus === ".wide") made.querySelector(".wide")?.focus();
  else if (focus !== null) [...made.querySelectorAll("a")].find((link) => link.getAttribute("href") === focus)?.focus();
}

const isPast = () => address.searchParams.get("at_sequence") !== null || address.searchParams.get("at") !== null;

/** Runs the body no more often than every `interval()` milliseconds, the last time for sure. */
function throttled(interval, body) {
  let timer = 0, last = 0;
  return () => {
    if (timer) return;
    timer = setTimeout(async () => {
      timer = 0;
      last = Date.now();
      await body();
    }, Math.max(0, last + interval() - Date.now()));
  };
}

async function refresh(name, selector) {
  if (document.hidden || isPast()) return;
  const shown = address;
  try {
    const markup = await part(name, shown);
    if (shown === address) replace(selector, markup);
  } catch { /* The connection tells; the next change tries again. */ }
}

const refreshTasks = throttled(() => refreshInterval, () => refresh("tasks", "#tasks"));
const refreshEvents = throttled(() => refreshInterval, () => refresh("events", "#events"));
const refreshExplanation = throttled(() => refreshInterval, () => refresh("explanation", "#explanation"));
const refreshChart = throttled(() => chartInterval(job.ledger_sequence), () => refresh("chart", "#chart"));

const refreshChain = throttled(() => chainInterval(job.ledger_sequence), verify);

function refreshAll() {
  if (chainInterval(job.ledger_sequence) < Infinity) refreshChain();
  if (!address.searchParams.has("cursor")) refreshTasks();
  if (!address.searchParams.has("before")) refreshEvents();
  if (address.searchParams.has("indicator") && !address.searchParams.has("from")) refreshExplanation();
  if (job.ledger_sequence <= chartEventsMax) refreshChart();
}

// What is live

function show(text) {
  const next = parse(text);
  const now = Date.now();
  const before = job;
  job = next;
  const head = document.querySelector("#head");
  head.dataset.state = job.state;
  head.querySelector(".state").textContent = job.state;
  head.querySelector(".overall").textContent = percent(job.percent);
  for (const [name, value] of Object.entries(job.tasks)) {
    const count = head.querySelector(`[data-count="${name}"]`);
    if (count === null) continue;
    count.dataset.zero = String(value == 0);
    count.querySelector("dd").textContent = number(value);
  }
  document.querySelector("#moment .sequence").textContent = number(job.sequence);
  const slider = document.querySelector("#at");
  slider.max = String(job.ledger_sequence);
  if (document.activeElement !== slider) slider.value = slider.max;
  const fell = indicators.show(job, now);
  if (fell.length > 0 && before !== null) explainFall(before.sequence, job.sequence);
  showTitle();
  tick();
  connection.changed(job.updated_at);
  if (before === null || before.sequence !== job.sequence) refreshAll();
}

function showTitle() {
  const name = document.querySelector("#head h1 bdi").textContent;
  const title = `${job.percent === null ? "" : `${job.percent}% `}${name} – progress ledger`;
  if (document.title !== title) document.title = title;
  const icon = `/pages/icon.svg?state=${job.state}${job.percent === null ? "" : `&percent=${job.percent}`}`;
  const link = document.querySelector("link[rel=icon]");
  if (link.getAttribute("href") !== icon) link.setAttribute("href", icon);
}

/** Asks why numbers fell, a moment later, since all who watch ask at once. */
function explainFall(from, to) {
  setTimeout(async () => {
    try {
      const answer = await fetch(`/v1/jobs/${id}/diff?from=${from}&to=${to}&limit=50`);
      if (answer.ok) indicators.explain(parse(await answer.text()).superseded.first, Date.now());
    } catch { /* The number says that it fell; the chart and the log say why. */ }
  }, Math.random() * 500);
}

function tick() {
  if (job === null || isPast()) return;
  const start = Date.parse(job.started_at ?? job.created_at);
  const end = job.finished_at === null ? Date.now() : Date.parse(job.finished_at);
  document.querySelector("#head .elapsed").textContent = duration(end - start);
  indicators.tick(Date.now());
}

function follow() {
  stream?.stop();
  clearInterval(poll);
  stream = null;
  if (isPast()) {
    connection.set("past");
    return;
  }
  if (document.hidden) {
    poll = setInterval(ask, pollInterval);
    return;
  }
  indicators ??= new Indicators((label) => indicatorLink(label));
  stream = new Stream(`/v1/jobs/${id}/watch`, {
    state: (state, pause) => connection.set(state, pause),
    event: (name, data) => {
      if (name === "snapshot") show(data);
      if (name !== "end") return false;
      connection.set("ended");
      verify();
      return true;
    },
  }, `/v1/jobs/${id}/progress`);
}

/** For a page that nobody sees: its title and icon. A browser has few connections to spare for such. */
async function ask() {
  try {
    const answer = await fetch(`/v1/jobs/${id}`);
    if (!answer.ok) return;
    job = parse(await answer.text());
    showTitle();
  } catch { /* It is asked again, and when it is seen it is followed. */ }
}

function indicatorLink(label) {
  const url = new URL(address);
  for (const name of ["cursor", "before", "from"]) url.searchParams.delete(name);
  url.searchParams.set("indicator", label);
  url.hash = "explanation";
  return url.pathname + url.search + url.hash;
}

// Going elsewhere on the page

let going = null;

/** Shows the page as it is at another of its addresses. */
async function go(url, { keeps = false, focus = null } = {}) {
  going?.abort();
  const control = new AbortController();
  going = control;
  const wasPast = isPast();
  try {
    const changesMoment = ["at", "at_sequence"].some(
      (name) => url.searchParams.get(name) !== address.searchParams.get(name));
    const names = changesMoment ? ["all"] : changed(url);
    const markups = await Promise.all(names.map((name) => part(name, url, control.signal)));
    if (control.signal.aborted) return;
    address = url;
    if (keeps) history.replaceState(null, "", url); else history.pushState(null, "", url);
    if (changesMoment) {
      showAll(markups[0]);
      indicators = null;
      if (wasPast || isPast()) follow();
    } else {
      names.forEach((name, index) => {
        const selector = name === "chain" ? "#chain" : `#${name}`;
        document.activeElement?.matches("select, input, button") && document.activeElement.blur();
        replace(selector, markups[index]);
      });
      markSelected();
    }
    if (focus !== null) document.querySelector(focus)?.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (control.signal.aborted) return;
    // Without a connection everything stays as it is, and says so.
    if (error.status === undefined) return;
    // Too many histories are being read: of a slider that is moved all on its way, for one.
    if (error.status === 503) setTimeout(() => control.signal.aborted || go(url, { keeps, focus }), busyPause);
    // What cannot be fetched in parts, the browser asks for as a whole, and shows what is wrong.
    else location.assign(url);
  }
}

/** Puts all parts in place of those that are shown, but for the slider: it may be in somebody's hand. */
function showAll(markup) {
  for (const made of [...document.createRange().createContextualFragment(markup).children]) {
    const shown = document.getElementById(made.id);
    if (made.id !== "moment") {
      shown.replaceWith(made);
      continue;
    }
    shown.className = made.className;
    shown.querySelector(".words").replaceWith(made.querySelector(".words"));
    const slider = shown.querySelector("#at"), next = made.querySelector("#at");
    slider.max = next.max;
    if (document.activeElement !== slider) slider.value = next.value;
    slider.setAttribute("aria-valuetext", next.getAttribute("aria-valuetext"));
  }
}

/** The parts that another address shows otherwise. */
function changed(url) {
  const differs = (...names) => names.some((name) => url.searchParams.get(name) !== address.searchParams.get(name));
  const names = [];
  if (url.searchParams.has("verify")) names.push("chain");
  if (differs("indicator", "from")) names.push("explanation");
  if (differs("indicator") || url.searchParams.has("draw")) names.push("chart");
  if (differs("state", "cursor")) names.push("tasks");
  if (differs("type", "verdict", "task", "before")) names.push("events");
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
  const link = event.target.closest?.("a[href]");
  if (link === null || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const url = new URL(link.getAttribute("href") ?? link.href, location.href);
  if (url.pathname !== location.pathname || url.origin !== location.origin || !main.contains(link)) return;
  event.preventDefault();
  go(url, { focus: url.hash === "" ? null : url.hash });
});

addEventListener("submit", (event) => {
  const url = new URL(event.target.action);
  for (const [name, value] of new FormData(event.target)) if (value !== "") url.searchParams.append(name, value);
  if (url.pathname !== location.pathname) return;
  event.preventDefault();
  go(url);
});

addEventListener("change", (event) => {
  if (event.target.matches("select")) event.target.form.requestSubmit();
});

// The slider: as of any moment, while it is moved.
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
    if (url.href !== address.href) go(url, { keeps: isPast() });
  }, 120);
});

addEventListener("popstate", () => go(new URL(location.href), { keeps: true }));
document.addEventListener("visibilitychange", follow);
addEventListener("pagehide", () => stream?.stop());
addEventListener("pageshow", (event) => event.persisted && follow());
setInterval(tick, 1000);

async function verify() {
  if ((job?.ledger_sequence ?? Number(main.dataset.head)) > chainEventsMax) return;
  try {
    replace("#chain", await part("chain", address));
  } catch { /* The link to ask for it stays. */ }
}

follow();
verify();
