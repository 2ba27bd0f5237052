// Servers that are no ledger, or a broken one: reports never throw, reads throw only errors of the client, within
// their time.

import assert from "node:assert/strict";
import test from "node:test";
import { Client, LedgerError } from "../../Sources/javascript-client/src/node.js";
import { makeLog, serve } from "./support.mjs";

const json = { "content-type": "application/json" };
const details = { "content-type": "application/problem+json" };
const snapshot = { job: "j", name: "n", state: "running", sequence: 3, ledger_sequence: 3, tasks: {}, progress: [] };

/** What the server sends; each is tried by every call. */
const responses = {
  "nothing": (response) => response.destroy(),
  "an empty page": (response) => response.writeHead(200).end(),
  "a page of a proxy": (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
  "half a response": (response) => response.writeHead(200, { ...json, "content-length": "100" }).end('{"a"') ?? response.destroy(),
  "invalid JSON": (response) => response.writeHead(200, json).end('{"job":'),
  "null": (response) => response.writeHead(200, json).end("null"),
  "a number": (response) => response.writeHead(200, json).end("7"),
  "a list": (response) => response.writeHead(200, json).end("[[[]]]"),
  "deep nesting": (response) => response.writeHead(200, json).end("[".repeat(100_000)),
  "an object without fields": (response) => response.writeHead(200, json).end("{}"),
  "fields of wrong types": (response) => response.writeHead(201, json).end(JSON.stringify({
    job: 7, state: [], sequence: "x", last_sequence: "y", attempt: {}, verdicts: 7, events: 7, tasks: "x", progress: {}, jobs: null,
  })),
  "wrong types below": (response) => response.writeHead(201, json).end(JSON.stringify({
    ...snapshot, last_sequence: "3", attempt: 1.5, verdicts: [null, {}, 7], job_state: 9, events: [null], tasks: [7], progress: [{ done: "1" }],
    jobs: [null, {}], next_cursor: 5, estimate: { at: "x", remaining_seconds: 7 }, points: [{}], conservation: 7, text: 7,
  })),
  "a redirect": (response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
  "an unknown status": (response) => response.writeHead(299, json).end("{}"),
  "problem details of wrong types": (response) => response.writeHead(422, details).end(JSON.stringify({ title: 7, errors: [null, { pointer: 7 }, { pointer: "/99999999999/x" }] })),
  "problem details without JSON": (response) => response.writeHead(409, details).end("<html>"),
  "a conflict": (response) => response.writeHead(409, details).end(JSON.stringify({ title: "x", last: {}, sequence: -1 })),
  "an endless refusal": (response) => response.writeHead(413).end(),
  "a gone job": (response) => response.writeHead(410, details).end("{}"),
};

for (const [name, respond] of Object.entries(responses)) {
  test(`a server that sends ${name}`, async (t) => {
    const server = await serve((_, response) => respond(response));
    t.after(server.close);
    const { lines, log } = makeLog();
    const client = new Client({ url: server.url, log, closeWait: 200, interval: 10, checkInterval: 100 });
    const began = performance.now();
    const job = client.job("01900000-0000-7000-8000-000000000000");
    const execution = job.execution("t", { onSuperseded: () => {}, onJobEnded: () => {} });
    const attached = client.attach({ job: job.id, task: "t", execution: "e" });
    for (const progress of [execution.progress("a"), attached.progress("a")]) for (let n = 0; n < 100; n += 1) progress.add(1, { message: "m" });
    assert.equal(await execution.finish("succeeded"), false);
    assert.equal(await attached.finish("succeeded"), false);
    assert.equal(await job.finish("completed"), false);
    await client.close();
    assert.ok(performance.now() - began < 3_000, `the ends took ${performance.now() - began} ms`);
    assert.equal(execution.stats.pending, 0);
    assert.ok(execution.stats.dropped > 0);
    assert.ok(lines.length <= 6, lines.join("\n"));

    const collect = async (items) => { for await (const item of items) void item; };
    const signal = AbortSignal.timeout(600);
    const calls = [
      client.jobs.create("n", { signal }), client.jobs.find("j", { signal }), client.jobs.find({ key: "k" }, { signal }), collect(client.jobs.list({ signal })),
      job.refresh({ signal }), job.explain("a", { signal }), job.history("a", { signal }), job.answer({ signal }), collect(job.tasks({ signal })),
      collect(job.events({ signal })), collect(job.watch({ signal })), job.wait({ signal }),
    ];
    for (const result of await Promise.allSettled(calls)) {
      if (result.status === "rejected") assert.ok(result.reason instanceof LedgerError, String(result.reason?.stack));
    }
  });
}

test("a response that is too long is given up", async (t) => {
  const server = await serve((_, response) => {
    response.writeHead(200, json);
    const piece = Buffer.alloc(1024 * 1024, " ");
    const more = () => { while (response.writable && response.write(piece)); };
    response.on("drain", more);
    more();
  });
  t.after(server.close);
  const client = new Client({ url: server.url, log: () => {} });
  const before = process.memoryUsage().rss;
  await assert.rejects(client.jobs.find("j", { signal: AbortSignal.timeout(3_000) }), LedgerError);
  assert.ok(process.memoryUsage().rss - before < 600 * 1024 * 1024);
});

test("a stream that never ends an event is given up, and one that floods is followed", async (t) => {
  let count = 0;
  const server = await serve((request, response) => {
    count += 1;
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (let sequence = 1; sequence <= 2_000; sequence += 1) {
      response.write(`id: ${sequence}\nevent: snapshot\ndata: ${JSON.stringify({ ...snapshot, sequence, ledger_sequence: sequence })}\n\n`);
    }
    response.end(`event: snapshot\ndata: ${JSON.stringify({ ...snapshot, state: "completed", sequence: 2_001 })}\n\nevent: end\ndata: {}\n\n`);
  });
  t.after(server.close);
  const client = new Client({ url: server.url, log: () => {} });
  const seen = [];
  for await (const { sequence } of client.job("j").watch()) seen.push(sequence);
  assert.deepEqual([seen.length, seen.at(-1), count], [2_001, 2_001, 1]);
});

test("the token goes to the configured server only, and not into the log", async (t) => {
  let redirected = 0;
  const other = await serve((_, response) => {
    redirected += 1;
    response.end();
  });
  const seen = [];
  const server = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(307, { location: other.url }).end();
  });
  t.after(server.close);
  t.after(other.close);
  const { lines, log } = makeLog();
  const client = new Client({ url: server.url, token: "pl_secret", log, closeWait: 100 });
  await client.job("j").execution("t").finish();
  await client.close();
  assert.ok(seen.length > 0 && seen.every((value) => value === "Bearer pl_secret"));
  assert.equal(redirected, 0);
  assert.ok(!lines.join("\n").includes("secret"), lines.join("\n"));
});
