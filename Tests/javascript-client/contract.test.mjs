// Runs every case of Tests/reporter-contract with the client's decisions and a simulated clock.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Delivery } from "../../Sources/javascript-client/src/delivery.js";
import { UnavailableError } from "../../Sources/javascript-client/src/errors.js";
import { classify, retryAfter } from "../../Sources/javascript-client/src/http.js";
import { notes } from "../../Sources/javascript-client/src/notes.js";
import * as limits from "../../Sources/javascript-client/src/limits.js";

const read = (name) => JSON.parse(readFileSync(new URL(`../reporter-contract/${name}`, import.meta.url), "utf8"));
const { contract, cases } = read("cases.json");
const further = read("notes-and-parts.json").cases;
const identity = { task: "tile-17", execution: "e", attempt: 2 };
const tolerance = 0.001;

/** One case: the task's calls, the client's decisions and the server's replies, by one clock in milliseconds. */
class Simulation {
  now = 0;
  answeredAt = 0;
  requests = [];
  jobEnds = [];
  #inFlight = null;
  #reply = null;

  constructor(row, random) {
    this.row = row;
    this.random = random;
    this.calls = [...row.calls];
    this.replies = [...row.replies];
    this.delivery = row.attached
      ? new Delivery({ ...identity, part: "a random part" }, { attachedAt: 0, random: () => random }) : new Delivery(identity);
    this.delivery.isStartAllowed = true;
  }

  run() {
    let isStarted = false;
    for (;;) {
      let moment = null;
      if (this.#inFlight !== null) moment = this.answeredAt;
      else if (isStarted) {
        const step = this.delivery.next(this.now);
        if (step.kind === "start" || step.kind === "send") {
          this.#send(step);
          continue;
        }
        if (step.kind === "check") {
          this.delivery.checked(this.now);
          this.delivery.isSuperseded ||= this.#isSuperseded();
          continue;
        }
        if (step.kind === "stop") this.delivery.abandon();
        moment = step.kind === "wait" ? step.until : null;
      }
      const [call] = this.calls;
      const isCall = call !== undefined && (moment === null || call.at * 1000 <= moment);
      if (isCall) moment = call.at * 1000;
      if (moment === null || moment > this.#end()) return;
      this.now = moment;
      if (isCall) {
        this.calls.shift();
        isStarted ||= call.call === "start";
        this.#call(call);
      } else if (this.#inFlight !== null) {
        this.#receive();
      }
    }
  }

  #end() {
    const end = this.row.until * 1000;
    if (this.row.seconds_after_last === undefined || this.requests.length < this.row.requests.length) return end;
    return Math.min(end, this.answeredAt + this.row.seconds_after_last * 1000);
  }

  #call({ call, label, n, count, outcome, ...given }) {
    const noted = notes(given, () => this.delivery.counts.dropNote());
    const report = (name, increments) => this.delivery.report(name ?? "", increments, noted, () => this.now);
    switch (call) {
      case "start": this.start = noted ?? {}; break;
      case "skip": report(label, { done: n, carried: n }); break;
      case "set_total": report(label, { total: n, isPosition: true }); break;
      case "set_done": report(label, { done: n, isPosition: true }); break;
      case "add": report(label, { total: n }); break;
      case "done": report(label, { done: n }); break;
      case "done_labels": for (let index = 0; index < count; index += 1) report(`label ${index}`, { done: 1 }); break;
      case "flush": this.delivery.flush(); break;
      case "finish": this.delivery.end(outcome, this.now, noted); break;
      default: assert.fail(`unknown call ${call}`);
    }
  }

  #send(step) {
    const events = step.kind === "start" ? [{ ...this.delivery.buffer.event("execution_started"), ...this.start }] : JSON.parse(step.batch.body);
    this.requests.push({ at: this.now / 1000, pause: (this.now - this.answeredAt) / 1000, events });
    this.#inFlight = step;
    this.#reply = this.replies.shift() ?? { reply: "accept" };
    this.answeredAt = this.now + (this.#reply.reply === "none" ? limits.requestWait : (this.#reply.after ?? 0) * 1000);
  }

  #isSuperseded() {
    return this.row.superseded_from !== undefined && this.now >= this.row.superseded_from * 1000;
  }

  #response() {
    const { reply, status, problem, refused = [], pointers = [], retry_after: seconds, job_state: state } = this.#reply;
    if (reply === "away" || reply === "lost" || reply === "none") return null;
    if (reply === "accept") return { status: 201, header: headers({ "content-type": "application/json" }), body: "{}" };
    const content = { title: "no", job_state: state, errors: [...refused.map((position) => `/${position}/done`), ...pointers].map((pointer) => ({ pointer })) };
    return {
      status, body: problem ? JSON.stringify(content) : "<html>",
      header: headers({
        "content-type": problem ? "application/problem+json" : "text/html",
        ...(seconds === undefined ? {} : { "retry-after": String(seconds) }),
      }),
    };
  }

  #receive() {
    const sent = this.#inFlight;
    this.#inFlight = null;
    const response = this.#response();
    const { kind, error } = response === null ? { kind: "retryable", error: new UnavailableError(this.#reply.reply) } : classify(response);
    if (kind === "accepted") this.delivery.job.hasState(this.#reply.job_state);
    if (kind === "retryable" || (kind === "rejected" && this.delivery.isPartUncertain(error))) {
      this.delivery.requestFailed(error, this.now, retryAfter(response), this.random);
    } else if (sent.kind === "start" && kind === "accepted") {
      this.delivery.startWasRecorded(2, 2, this.now);
      this.delivery.isSuperseded = this.#isSuperseded();
    } else if (sent.kind === "start") {
      this.delivery.startWasRejected(error);
    } else if (kind === "oversized") {
      this.delivery.tooLarge(error);
    } else if (kind === "rejected") {
      this.delivery.rejected(error);
    } else {
      const verdict = this.#reply.verdict ?? (this.#isSuperseded() ? "superseded" : "counted");
      const verdicts = sent.isCheck ? sent.batch.events.map(() => verdict) : null;
      const { isSuperseded } = this.delivery.accepted(verdicts, this.now, sent.isCheck);
      this.delivery.isSuperseded ||= isSuperseded;
    }
    const ended = this.delivery.takeJobEnd();
    if (ended !== null) this.jobEnds.push(ended);
  }

  check() {
    const expected = this.row.requests;
    assert.equal(this.requests.length, expected.length, `the requests are ${JSON.stringify(this.requests)}`);
    for (const [index, request] of this.requests.entries()) {
      const [moment, bounds] = expected[index].at ? [request.at, expected[index].at] : [request.pause, expected[index].pause];
      assert.ok(moment >= bounds[0] - tolerance && moment <= bounds[1] + tolerance, `request ${index} comes at ${moment}, not in ${bounds}`);
      assert.deepEqual(request.events.map(shown), expectedEvents(expected[index]), `request ${index}`);
    }
    assert.deepEqual(this.jobEnds, this.row.job_ends ?? []);
    const { counts, pending, isSuperseded, lastError, jobEnded } = this.delivery;
    const { requests: _, ...statistics } = counts;
    assert.deepEqual({ ...statistics, pending, is_superseded: isSuperseded, has_error: lastError !== null, ...(jobEnded === null ? {} : { job_ended: jobEnded }) },
      this.row.statistics);
  }
}

const headers = (values) => (name) => values[name] ?? null;

function expectedEvents({ events = [], reports }) {
  const all = [...events];
  for (let report = reports?.[0]; report <= reports?.[1]; report += 1) {
    all.push({ type: "progress", report, label: `label ${report - reports[0]}`, done: 1 });
  }
  return all.map(({ type, ...rest }) => ({ type, ...identity, ...rest }));
}

test("the table has cases", () => assert.ok(cases.length > 0));

/** An event as the table shows it. */
function shown(event) {
  const isUpper = event.report >= 2 ** 52 && event.report < 2 ** 53;
  return { ...event, ...(event.part === undefined ? {} : { part: "part" }), ...(isUpper ? { report: -1 } : {}) };
}

for (const row of [...cases, ...further]) {
  test(row.name, () => {
    for (const random of [0, 0.5, 1]) {
      const simulation = new Simulation(row, random);
      simulation.run();
      simulation.check();
    }
  });
}

test("the limits are those of the contract", () => {
  assert.deepEqual({
    report_seconds: limits.intervalDefault / 1000, heartbeat_seconds: limits.heartbeatInterval / 1000,
    request_seconds: limits.requestWait / 1000, pause_seconds_min: limits.pauseMin / 1000,
    pause_seconds_max: limits.pauseMax / 1000, retry_after_seconds_max: limits.retryAfterMax / 1000,
    retry_after_spread: limits.retryAfterSpread, events_per_request_max: limits.batchSizeMax,
    labels_per_execution_max: limits.labelsMax, increment_max: limits.incrementMax,
    delivery_seconds_after_end: limits.drainMax / 1000, watch_outage_seconds_max: limits.watchOutageMax / 1000,
  }, contract);
});
