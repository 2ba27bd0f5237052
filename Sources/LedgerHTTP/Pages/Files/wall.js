// Makes the wall of running jobs live.

import { learnAtLeast, now } from "./clock.js";
import { Connection } from "./connection.js";
import { Feed } from "./feed.js";
import { setBar } from "./indicators.js";
import { Part } from "./parts.js";
import "./session.js";
import { showSilences } from "./silence.js";
import { duration, firstLine, number, parse, percent, remaining, silentText } from "./text.js";
import { showTimes, showZone } from "./times.js";
import { urgencyOf } from "./urgency.js";

const listInterval = 1_000; // The tiles are not fetched more often than this.
const refreshInterval = 60_000; // Milliseconds after which they are fetched again, because failed jobs leave the wall.
const visibleInterval = 5_000; // Milliseconds between polls of a page without a stream.

const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.
const query = new URL(document.querySelector("#list").dataset.watch, location.href).search;
const address = new URL(location.href);
const connection = new Connection();
const jobs = new Map();
let listed = null; // The ids of the running jobs; null until they are known.
let age = 0; // Counts the intervals after which the tiles are fetched in any case.

const tiles = () => [...document.querySelectorAll(".tile")];
const tileOf = (id) => document.querySelector(`.tile[data-job="${CSS.escape(id)}"]`);

/** Identifies jobs and their urgencies, which determine the order of the tiles. */
const version = (entries) => `${entries.map(([id, urgency]) => `${id} ${urgency}`).sort().join(" ")} ${age}`;

const list = new Part("list", {
  address: () => address,
  interval: () => listInterval,
  applies: () => true,
  afterwards() {
    for (const job of jobs.values()) showTile(job);
    tick();
  },
  version: version(tiles().map((tile) => [tile.dataset.job, tile.dataset.urgency])),
});

const remainingText = (job) => {
  const text = remaining(job.estimate, now());
  return text === "" ? "" : `${text} left`;
};

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a job in its tile. */
function showTile(job) {
  const tile = tileOf(job.job);
  if (tile === null) return;
  const find = (selector) => tile.querySelector(selector);
  const urgency = urgencyOf(job, tile.dataset.deadline);
  tile.dataset.state = job.state;
  tile.dataset.urgency = urgency;
  setText(find(".percent"), percent(job.percent));
  setBar(find(".bar"), job.percent, job.percent === null ? "no units declared" : `${job.percent} percent`);
  setText(find(".failures"), job.tasks.failed == 0 ? "" : `${number(job.tasks.failed)} failed`);
  setText(find(".silent"), silentText(job.tasks.silent ?? 0));
  setText(find(".newest"), firstLine(job.message));
  find(".late").hidden = urgency !== "late";
  find(".silence").dataset.since = job.stalled_since ?? "";
}

function showJob(job) {
  learnAtLeast(Date.parse(job.now));
  jobs.set(job.job, job);
  showTile(job);
}

function showList(ids) {
  for (const id of jobs.keys()) if (!ids.includes(id)) jobs.delete(id);
  listed = ids;
}

/** Fetches the tiles again if they are others, or in another order. */
function requestList() {
  if (listed === null || !listed.every((id) => jobs.has(id))) return;
  list.request(version([...jobs].map(([id, job]) => [id, urgencyOf(job, tileOf(id)?.dataset.deadline)])));
}

function arrived() {
  requestList();
  const times = [...jobs.values()].map((job) => job.updated_at).filter((time) => time !== null);
  connection.changed(times.sort().at(-1) ?? null);
}

function tick() {
  // Without a connection the page keeps its last state, because later reports are unknown.
  if (connection.state === "lost") return;
  for (const job of jobs.values()) {
    const tile = tileOf(job.job);
    if (tile === null) continue;
    setText(tile.querySelector(".finish"), remainingText(job));
    setText(tile.querySelector(".elapsed"), duration(now() - Date.parse(job.started_at ?? job.created_at)));
  }
  showSilences((element) => element.closest("[data-state]")?.dataset.state === "running");
  showTimes();
  requestList();
}

tick();
showZone();

new Feed(new URL(`v1/watch${query}`, base), {
  waits: false, interval: visibleInterval, hiddenInterval: null, endedInterval: visibleInterval,
  state: (state, detail, error) => connection.set(state, detail, error),
  event(name, data) {
    const value = parse(data);
    if (name === "list") showList(value.jobs);
    if (name === "snapshot") showJob(value);
    arrived();
  },
  async poll(request) {
    const response = await request(new URL(`v1/jobs${query}`, base));
    const page = parse(await response.text());
    page.jobs.forEach(showJob);
    showList(page.jobs.map((job) => job.job));
    arrived();
  },
});

document.addEventListener("visibilitychange", () => list.schedule());
setInterval(tick, 1000);
setInterval(() => { age += 1; }, refreshInterval);
