// Makes the wall of running jobs live.

import { now } from "./clock.js";
import { Connection } from "./connection.js";
import { followList } from "./feed.js";
import { setBar } from "./indicators.js";
import { Part } from "./parts.js";
import "./session.js";
import { showSilences } from "./silence.js";
import { duration, firstLine, number, percent, remaining, silentText } from "./text.js";
import { showAges } from "./times.js";
import { urgencyOf } from "./urgency.js";

const listInterval = 1_000; // The tiles are not fetched more often than this.
const refreshInterval = 60_000; // Milliseconds after which they are fetched again, because failed jobs leave the wall.

const query = new URL(document.querySelector("#list").dataset.watch, location.href).search;
const address = new URL(location.href);
const connection = new Connection();
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
  setText(find(".silent"), silentText(job.tasks));
  setText(find(".newest"), firstLine(job.message));
  find(".late").hidden = urgency !== "late";
  find(".silence").dataset.since = job.stalled_since ?? "";
}

const { jobs, isComplete } = followList(query, {
  state: (state, detail, error) => connection.set(state, detail, error),
  show: showTile,
  arrived(newest) {
    requestList();
    connection.changed(newest);
  },
});

/** Fetches the tiles again if they are others, or in another order. */
function requestList() {
  if (!isComplete()) return;
  list.request(version([...jobs].map(([id, job]) => [id, urgencyOf(job, tileOf(id)?.dataset.deadline)])));
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
  showAges();
  requestList();
}

tick();

document.addEventListener("visibilitychange", () => list.schedule());
setInterval(tick, 1000);
setInterval(() => { age += 1; }, refreshInterval);
