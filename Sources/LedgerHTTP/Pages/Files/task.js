// Makes the page of a task live. Without it the page shows the task as it was when it was loaded.

import { learnAtLeast } from "./clock.js";
import { Connection } from "./connection.js";
import "./copy.js";
import { Feed } from "./feed.js";
import { Part } from "./parts.js";
import "./session.js";
import { showSilences } from "./silence.js";
import { parse } from "./text.js";

const main = document.querySelector("#task");
const id = main.dataset.job;
const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.

const interval = 2_000; // Parts are not fetched more often than this. Milliseconds, like those between polls:
const visibleInterval = 2_000; // of a page without a stream,
const endedInterval = 30_000; // and of a job that has ended, which may be reopened.

const address = new URL(location.href);
const isPast = main.dataset.moment !== "";
const connection = new Connection();
let job = null;
let version = `${main.dataset.sequence} ${main.dataset.updated}`;

document.body.classList.add("scripted");

const parts = ["head", "tasks", "events"].map((name) => new Part(name, {
  address: () => address, interval: () => interval,
  applies: () => name !== "events" || !address.searchParams.has("before"), afterwards: tick, version,
}));

function show(received) {
  job = parse(received);
  learnAtLeast(Date.parse(job.now));
  connection.changed(job.updated_at);
  version = `${job.sequence} ${job.updated_at ?? ""}`;
  // An execution falls silent without an event.
  for (const part of parts) part.request(part.name === "events" ? version : `${version} ${job.tasks.silent} ${job.state}`);
  tick();
}

function tick() {
  // Without a connection the page keeps its last state, because later reports are unknown.
  if (job === null || connection.state === "lost") return;
  showSilences(() => job.state === "running");
}

const isOver = () => job.state !== "running" && job.sequence === job.ledger_sequence;
let entityTag = null;

if (isPast) {
  connection.set("past");
} else {
  new Feed(new URL(`v1/jobs/${id}/watch`, base), {
    waits: true, interval: visibleInterval, hiddenInterval: null, endedInterval,
    state: (state, detail, error) => connection.set(state, detail, error),
    event(name, data) {
      if (name === "snapshot") show(data);
      return name === "end" || name === "snapshot" && isOver();
    },
    async poll(request, wait) {
      const headers = {};
      if (entityTag !== null) headers["if-none-match"] = entityTag;
      if (entityTag !== null && wait > 0) headers.prefer = `wait=${wait}`;
      const response = await request(new URL(`v1/jobs/${id}/progress`, base), headers);
      if (response.status !== 304) {
        entityTag = response.headers.get("etag");
        show(await response.text());
      }
      return isOver();
    },
  });
}

addEventListener("change", (event) => {
  if (event.target.matches("select")) event.target.form.requestSubmit();
});
document.addEventListener("visibilitychange", () => parts.forEach((part) => part.schedule()));
setInterval(tick, 1000);
