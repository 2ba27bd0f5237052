// JSON with large integers, server-sent events, and values that cannot be reported. Without a server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Client, parse, stringify } from "../../Sources/javascript-client/src/node.js";
import { EventReader } from "../../Sources/javascript-client/src/eventStream.js";
import { Delivery } from "../../Sources/javascript-client/src/delivery.js";
import { attemptFromEngine } from "../../Sources/javascript-client/src/attempt.js";
import { Estimate, Indicator, Snapshot } from "../../Sources/javascript-client/src/node.js";
import { messageOfError } from "../../Sources/javascript-client/src/notes.js";
import { linkProblem, messageText, textProblem } from "../../Sources/javascript-client/src/values.js";
import { makeLog } from "./support.mjs";

test("integers beyond 2^53 are exact, and everything else is that of JSON.parse", () => {
  assert.deepEqual(parse('{"a":18014398509481982,"b":-9007199254740993,"c":9007199254740991}'), { a: 18014398509481982n, b: -9007199254740993n, c: 9007199254740991 });
  assert.deepEqual(parse('[1.1234567890123456789, 1e20, 1234567890123456789.5, 1234567890123456789e2, 1e-1234567890123456]'),
    [1.1234567890123456789, 1e20, 1234567890123456789.5, 1234567890123456789e2, 0]);
  for (const text of ["1234567890123456789", 'a"1234567890123456789', "\\", '\\"1234567890123456789\\\\', "\u0000", "é😀"]) {
    assert.deepEqual(parse(`[${JSON.stringify(text)},1234567890123456789]`), [text, 1234567890123456789n]);
  }
  for (const wrong of ["", "{", '{"a":1234567890123456789', '"1234567890123456789', "[1234567890123456789 1]", "01234567890123456789"]) {
    assert.throws(() => parse(wrong), SyntaxError, wrong);
  }
  assert.throws(() => parse(`[${"9".repeat(1001)}]`), SyntaxError);
  assert.deepEqual(parse(`[${"9".repeat(1000)}]`), [BigInt("9".repeat(1000))]);
});

test("random values survive being written and parsed", () => {
  const seed = Date.now() % 2 ** 31;
  let state = seed;
  const random = (n) => (state = (state * 48271) % 2147483647) % n;
  const value = (depth) => {
    switch (random(depth > 3 ? 4 : 6)) {
      case 0: return random(2) === 0 ? -random(1e9) : null;
      case 1: return 2n ** BigInt(54 + random(200)) * (random(2) === 0 ? 1n : -1n) + BigInt(random(1000));
      case 2: return String.fromCharCode(...Array.from({ length: random(12) }, () => random(128) || 34));
      case 3: return `${random(1e9)}${"\\\"".repeat(random(4))}12345678901234567890`;
      case 4: return Array.from({ length: random(5) }, () => value(depth + 1));
      default: return Object.fromEntries(Array.from({ length: random(5) }, (_, index) => [`k${index}"\\`, value(depth + 1)]));
    }
  };
  for (let round = 0; round < 2_000; round += 1) {
    const made = value(0);
    assert.deepEqual(parse(stringify(made)), made, `seed ${seed}`);
  }
});

test("a stream of events means the same however it is cut", () => {
  const text = ": comment\n\nid: 7\nevent: snapshot\ndata: {\"a\":\ndata:  \"é😀\"}\r\n\r\ndata: one\r\ndata: two\r\n\r\ndata: x\rdata\r\rid: b\u0000c\nretry: 1\nevent: end\n\nevent: never\ndata: complete";
  const bytes = new TextEncoder().encode(text);
  const expected = [
    { type: "snapshot", data: '{"a":\n "é😀"}', id: "7" }, { type: "message", data: "one\ntwo", id: "7" },
    { type: "message", data: "x\n", id: "7" }, { type: "end", data: "", id: "7" },
  ];
  for (let size = 1; size <= bytes.length; size += 1) {
    const reader = new EventReader();
    const events = [];
    for (let index = 0; index < bytes.length; index += size) events.push(...reader.feed(bytes.subarray(index, index + size)));
    assert.deepEqual(events, expected, `in pieces of ${size} bytes`);
  }
});

test("an event that is too long is refused before it fills the memory", () => {
  const reader = new EventReader();
  const piece = new TextEncoder().encode("data: ".padEnd(8 * 1024 * 1024, "x"));
  assert.throws(() => { for (let count = 0; count < 9; count += 1) reader.feed(piece); }, RangeError);
});

const hostileValues = [
  undefined, null, NaN, Infinity, -1, -0.5, 1.5, 2 ** 53, -(2n ** 70n), 2n ** 70n, "3", "", true, {}, [], Symbol("s"), () => 1,
  { valueOf() { throw new Error("trap"); } }, new Proxy({}, { get() { throw new Error("trap"); } }),
];

test("a value that cannot be reported is refused, counted and logged once, and never throws", () => {
  const { lines, log } = makeLog();
  const execution = new Client({ url: "", log }).job("j").execution("t");
  const progress = execution.progress("a");
  let refused = 0;
  for (const value of hostileValues) {
    progress.add(value);
    progress.setTotal(value);
    progress.setDone(value);
    // Without a number one unit is done.
    if (value !== undefined) progress.done(value);
    refused += value === undefined ? 3 : 4;
    const label = typeof value === "string" || value === null || value === undefined;
    execution.progress(value).done(1);
    refused += label ? 0 : 1;
  }
  execution.progress("x".repeat(101)).done(1);
  execution.progress("nul\u0000").done(1);
  execution.progress("\ud800").done(1);
  progress.done(1, { carried: 2 });
  refused += 4;
  const { stats } = execution;
  assert.equal(stats.refused, refused);
  assert.equal(stats.dropped, refused);
  assert.equal(stats.taken, hostileValues.filter((value) => typeof value === "string" || value === null || value === undefined).length);
  assert.equal(lines.length, 1);
  assert.match(lines[0], /was dropped: total is undefined; expected an integer; further ones are only counted/);
});

test("wrong calls never throw", async () => {
  const { lines, log } = makeLog();
  for (const value of hostileValues) {
    const client = new Client({ url: "http://127.0.0.1:1", log, token: "t" });
    const execution = client.job(value).execution(value, { attempt: value, name: value, link: value, onSuperseded: value });
    execution.progress("a", { unit: value }).add(1, { message: value, link: value, carried: value });
    execution.progress("a").message(value, { link: value });
    execution.end(/** @type {any} */ (value), { message: value, link: value });
    assert.equal(await execution.finish(/** @type {any} */ (value)), false);
    client.attach({ job: value, task: value, execution: value, attempt: value }, { part: value }).progress().done();
    new Client({ url: value, token: value, interval: value, closeWait: value, checkInterval: value, caFile: value, log });
    client.cancelAll();
    client.close();
  }
  new Client(null);
  assert.ok(lines.every((line) => line.startsWith("progress ledger: ")));
});

test("an invalid note of a start or an end is dropped and counted alone", async () => {
  const { lines, log } = makeLog();
  const execution = new Client({ url: "", log }).job("j").execution("t", { link: "ftp://x" });
  execution.progress("a", { unit: "x".repeat(33) }).done(1, { message: 7 });
  assert.equal(await execution.finish("failed", { link: "nothing" }), true);
  const { taken, refused, dropped } = execution.stats;
  assert.deepEqual([taken, refused, dropped, lines.length], [1, 0, 4, 3]);
});

test("a broken log function does not disturb the task", () => {
  const client = new Client({ url: "", log: () => { throw new Error("log"); } });
  client.job("j").execution("t").progress("a").add(-1);
});

test("an execution has at most 1,000 labels", () => {
  const execution = new Client({ url: "", log: () => {} }).job("j").execution("t");
  for (let index = 0; index < 1_001; index += 1) execution.progress(`label ${index}`).done(1);
  assert.equal(execution.stats.refused, 1);
});

test("without a URL reports do nothing, and reads throw", async () => {
  const client = new Client();
  const job = await client.jobs.create("j");
  assert.equal(job.id, "");
  const result = await job.run("t", async (execution) => {
    execution.progress("a").add(1);
    assert.equal(await execution.started(), true);
    assert.equal(await execution.flush(), true);
    assert.equal(execution.stats.dropped, 0);
    return 7;
  });
  assert.equal(result, 7);
  assert.equal(await job.finish("completed"), true);
  await assert.rejects(client.jobs.find("0190"), { code: "not_configured" });
  await assert.rejects(job.refresh(), { code: "not_configured" });
  await assert.rejects(job.answer(), { code: "not_configured" });
  await assert.rejects(new Client({ url: "ftp://x", log: () => {} }).jobs.create("j"), { code: "invalid_value", field: "url" });
});

test("positions send the difference, and never go backwards", () => {
  const delivery = new Delivery({ task: "t", execution: "e" }, { attachedAt: 0 });
  const report = (increments) => assert.equal(delivery.report("a", { ...increments, isPosition: true }, null, () => 0), null);
  report({ total: 10 });
  report({ done: 3 });
  report({ done: 2 });
  report({ done: 7 });
  report({ total: 8 });
  delivery.report("a", { done: 1 }, null, () => 0);
  report({ done: 8 });
  const [event] = delivery.next(1_000).batch.events;
  assert.deepEqual([event.total, event.done], [10, 8]);
});

test("sums beyond 2^53 are several events, and what was carried stays within done", () => {
  const delivery = new Delivery({ task: "t", execution: "e", part: "p" }, { attachedAt: 0 });
  const max = Number.MAX_SAFE_INTEGER;
  for (const n of [max, max, 5]) delivery.report("a", { done: n, carried: n }, null, () => 0);
  const { events } = delivery.next(1_000).batch;
  assert.deepEqual(events.map(({ done, carried }) => [done, carried]), [[max, max], [max, max], [5, 5]]);
  assert.ok(events.every(({ part }) => part === "p"));
  const sum = events.reduce((total, { done }) => total + BigInt(done), 0n);
  assert.equal(sum, 2n * BigInt(max) + 5n);
});

test("a duplicate is a collision only if its batch was sent once", () => {
  for (const isResent of [false, true]) {
    const delivery = new Delivery({ task: "t", execution: "e" }, { attachedAt: 0 });
    delivery.report("a", { done: 1 }, null, () => 0);
    delivery.next(10_000);
    if (isResent) delivery.requestFailed(new Error("lost"), 10_000, 0, 0);
    assert.equal(delivery.accepted(["duplicate"], 11_000, true).collision, isResent ? null : "duplicate");
    assert.deepEqual([delivery.counts.delivered, delivery.counts.discarded], isResent ? [1, 0] : [0, 1]);
  }
});

test("the newest message of an interval is sent, with the unit of the label", () => {
  const delivery = new Delivery({ task: "t", execution: "e" }, { attachedAt: 0 });
  delivery.report("a", { done: 1 }, { unit: "files", message: "one", link: "http://x/1" }, () => 0);
  delivery.report("a", { done: 1 }, { message: "two" }, () => 0);
  delivery.report("a", { done: 1 }, null, () => 0);
  const [event] = delivery.next(1_000).batch.events;
  assert.deepEqual([event.done, event.unit, event.message, event.link], [3, "files", "two", "http://x/1"]);
});

test("a message is cut to what the ledger records", () => {
  assert.equal(messageText("a\r\nb\u0007\ud800"), "a \nb \ufffd");
  assert.equal([...messageText("😀".repeat(2_000))].length, 1_000);
  assert.equal(messageText(new Error("why")), "why");
  assert.equal(messageText(""), null);
});

test("links are http and https URLs without credentials", () => {
  assert.equal(linkProblem("https://example.org/log?a=1"), null);
  for (const link of ["javascript:alert(1)", "http://u:p@host/", "/relative", "http://a b", `http://x/${"y".repeat(2_000)}`, 7]) {
    assert.notEqual(linkProblem(link), null, String(link));
  }
});

test("lengths are in Unicode scalars", () => {
  assert.equal(textProblem("😀".repeat(100), 0, 100), null);
  assert.match(textProblem("😀".repeat(101), 0, 100), /has more than 100/);
  assert.match(textProblem("é".repeat(101), 0, 100), /has 101 characters/);
});

test("attempts come from the engine's variables", () => {
  const { cases, steps } = JSON.parse(readFileSync(new URL("../engine-variables/cases.json", import.meta.url), "utf8"));
  assert.ok(cases.length >= 20 && steps.length >= 5);
  for (const { name, environment, engine, attempt, attempt_of_variable: ofVariable, orders_code: ordersCode } of [...cases, ...steps]) {
    const of = (isNamedByVariable) => attemptFromEngine((variable) => environment[variable], isNamedByVariable);
    assert.equal(of(false).attempt, ordersCode === false ? undefined : attempt, name);
    assert.equal(of(true).attempt, ofVariable ?? attempt, name);
    // A variable that only names the task is no engine.
    if (engine !== "PROGRESS_LEDGER_TASK") assert.equal(of(false).source, engine ?? "", name);
  }
  for (const wrong of ["0", "-1", "1.5", "x", "2147483648", "99999999999999999999"]) {
    const found = attemptFromEngine((name) => (name === "PROGRESS_LEDGER_ATTEMPT" ? wrong : undefined), false);
    assert.deepEqual([found.attempt, found.source, typeof found.problem], [undefined, "", "string"], wrong);
  }
});

test("a snapshot computes ages by the ledger's clock", () => {
  const content = { job: "j", state: "running", sequence: 1, now: "2020-01-01T00:00:10.000000Z", updated_at: "2020-01-01T00:00:00Z" };
  let now = 5_000;
  const snapshot = new Snapshot(content, now, () => now);
  assert.equal(snapshot.since(snapshot.updatedAt), 10_000);
  now += 3_000;
  assert.equal(snapshot.since(snapshot.updatedAt), 13_000);
  assert.equal(snapshot.clock().toISOString(), "2020-01-01T00:00:13.000Z");
  assert.equal(snapshot.clock(6_000).toISOString(), "2020-01-01T00:00:11.000Z");
  now = 0;
  assert.equal(snapshot.since(snapshot.updatedAt), 10_000, "no age decreases");
  assert.equal(new Snapshot(content).since(snapshot.updatedAt), 10_000);
  assert.equal(snapshot.since(null), null);
});

test("an estimate is shown in words", () => {
  const record = { jobs: 48, ended_inside: 44 };
  const estimate = Estimate.read(
    { at: "2020-01-01T00:00:00Z", remaining_seconds: { p10: 540, p50: 720, p90: 1200 }, track_record: record });
  assert.deepEqual(estimate.trackRecord, { jobs: 48, endedInside: 44 });
  assert.equal(estimate.text(), "≈ 12 min (9–20)");
  assert.equal(estimate.text(new Date("2020-01-01T00:06:00Z")), "≈ 6 min (3–14)");
  assert.equal(String(Estimate.read({ at: "2020-01-01T00:00:00Z", reason: "no_progress" })), "no estimate: no_progress");
  assert.equal(Estimate.read(null), null);
});

test("an indicator keeps integers of any size", () => {
  const indicator = new Indicator(parse('{"label":null,"done":36893488147419103232,"total":3}'));
  assert.equal(String(indicator), "(default): 36893488147419103232/3");
});

test("the message of an error has its name, and its text without credentials only if asked for", () => {
  const error = new RangeError("GET https://user:p@ss@host/x?signature=abc failed\nsecond line");
  assert.equal(messageOfError(error, false), "RangeError");
  assert.equal(messageOfError(error, true), "RangeError: GET https://host/x?… failed");
  assert.equal(messageOfError("text", true), "thrown value: text");
  assert.equal(messageOfError(new Error("x".repeat(300)), true).length, 200);
});
