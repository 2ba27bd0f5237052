// Outages, lost responses and restarts of a real server: every unit counts exactly once, and the task does not notice.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { Client } from "../../Sources/javascript-client/src/node.js";
import { Watch } from "../../Sources/javascript-client/src/watch.js";
import { eventually, LedgerServer, makeLog, Proxy, start } from "./support.mjs";

let server;
let proxy;
let direct;

before(async () => {
  server = await LedgerServer.start();
  proxy = await Proxy.start(server.url);
  direct = new Client(server.url);
});

after(async () => {
  proxy.close();
  await server.remove();
});

function makeClient(options = {}) {
  proxy.seen = [];
  const { lines, log } = makeLog();
  const client = new Client({ url: proxy.url, interval: 20, log, ...options });
  return { client, lines };
}

const problem = (status, headers = {}) => () => ({
  status, headers: { "content-type": "application/problem+json", ...headers }, body: JSON.stringify({ status, title: "no" }),
});
const is = (part, fault) => (request) => (request.path.includes(part) ? fault : "pass");

test("a lost response counts nothing twice", async () => {
  const { client, lines } = makeClient();
  const job = await client.jobs.create("lost");
  proxy.faults = ["cutAfter", "cut", "pass", "cutAfter", "cut", "cutAfter"].map((fault) => () => fault);
  const execution = job.execution("t");
  execution.progress("a").add(3);
  for (let unit = 0; unit < 3; unit += 1) {
    // Each report waits for a request, not for its delivery: it may be made while an earlier batch is repeated.
    const left = proxy.faults.length;
    execution.progress("a").done(1);
    await eventually(() => proxy.faults.length < left);
  }
  assert.equal(await execution.finish(), true);
  assert.deepEqual([execution.stats.dropped, execution.stats.pending], [0, 0]);
  assert.ok(execution.stats.failures >= 4, String(execution.stats.failures));
  assert.deepEqual(proxy.faults, []);
  const { progress: [indicator] } = await client.jobs.find(job.id);
  assert.deepEqual([indicator.done, indicator.total, indicator.attemptedDone], [3n, 3n, 3n]);
  assert.equal(lines.filter((line) => line.includes("the work goes on")).length, 1, lines.join("\n"));
  const bodies = proxy.appends.map(({ body }) => body);
  assert.ok(bodies.some((body, index) => bodies.indexOf(body) !== index), "a batch is repeated unchanged");
});

test("a job that is created without a key is created once, although responses are lost", async () => {
  const { client } = makeClient();
  proxy.faults = [() => "cutAfter", () => "cutAfter"];
  await client.jobs.create("created once");
  const jobs = [];
  for await (const job of direct.jobs.list({ name: "created once" })) jobs.push(job);
  assert.equal(jobs.length, 1);
});

test("a refused token and a busy ledger are temporary for reports, and final for reads", async () => {
  const { client } = makeClient();
  const job = await client.jobs.create("busy");
  proxy.faults = [problem(401), problem(503, { "retry-after": "1" }), problem(500), is("", { status: 404, headers: { "content-type": "text/html" }, body: "<html>" })];
  const began = performance.now();
  assert.equal(await job.run("t", async (execution) => {
    execution.progress("a").done(1);
    assert.equal(await execution.flush(), true);
    return 3;
  }), 3);
  assert.ok(performance.now() - began >= 1_000, "Retry-After is honored");
  proxy.faults = [problem(401)];
  await assert.rejects(job.refresh(), { code: "unauthorized" });
  proxy.faults = [problem(500), problem(503), () => "cut"];
  assert.equal((await job.refresh()).indicator("a").done, 1n);
});

test("an outage delays no call and no end beyond 5 s, and its reports arrive afterwards", async () => {
  const { client, lines } = makeClient({ closeWait: 600 });
  const job = await client.jobs.create("outage");
  const execution = job.execution("t");
  await execution.started();
  proxy.always = () => "cut";
  const began = performance.now();
  for (let unit = 0; unit < 10_000; unit += 1) execution.progress(`label ${unit % 7}`).done(1);
  const called = performance.now() - began;
  assert.ok(called < 500, `10,000 calls took ${called} ms`);
  assert.equal(await execution.finish("succeeded"), false);
  const another = job.execution("u");
  another.progress("label 0").done(1);
  assert.equal(await another.finish("succeeded"), false);
  const finished = await job.finish("completed");
  assert.equal(finished, false);
  assert.ok(performance.now() - began < 2_500, `the ends took ${performance.now() - began} ms`);
  proxy.always = () => "pass";
  assert.equal(await client.flush(), true);
  const { snapshot } = await eventually(async () => {
    const found = await direct.jobs.find(job.id);
    return found.state === "completed" && found;
  });
  assert.equal(snapshot.progress.reduce((sum, { done }) => sum + done, 0n), 10_001n);
  assert.equal(snapshot.tasks.succeeded, 2);
  assert.ok(lines.some((line) => line.includes("is back after")), lines.join("\n"));
  assert.ok(lines.length <= 3, lines.join("\n"));
  assert.equal(execution.stats.dropped, 0);
});

test("a server that accepts requests and never responds does not delay the end beyond its wait", async () => {
  const { client } = makeClient({ closeWait: 400 });
  const job = await client.jobs.create("hanging");
  proxy.always = () => "hold";
  const began = performance.now();
  const execution = job.execution("t");
  execution.progress("a").done(1);
  assert.equal(await execution.finish(), false);
  assert.equal(await client.close(), false);
  assert.ok(performance.now() - began < 1_500);
  assert.equal(execution.stats.dropped, 3);
  assert.equal(execution.stats.pending, 0);
  proxy.always = () => "pass";
  proxy.cut();
});

test("reads and watches do not wait for the reports of many executions that hang", async () => {
  const { client } = makeClient({ closeWait: 100 });
  const job = await direct.jobs.create("slots");
  proxy.always = (request) => (request.method === "POST" ? "hold" : "pass");
  const executions = Array.from({ length: 40 }, (_, index) => client.job(job.id).execution(`t${index}`));
  await eventually(() => proxy.seen.filter(({ method }) => method === "POST").length >= 32);
  const began = performance.now();
  assert.equal((await client.jobs.find(job.id)).name, "slots");
  assert.ok(performance.now() - began < 5_000);
  assert.equal(proxy.seen.filter(({ method }) => method === "POST").length, 32, "at most 32 reports are under way");
  proxy.always = () => "pass";
  await client.close();
  proxy.cut();
  assert.ok(executions.every(({ stats }) => stats.pending === 0));
});

test("a killed server loses nothing that was acknowledged, and gets the rest after its restart", async () => {
  const { client } = makeClient();
  const job = await client.jobs.create("killed server");
  const execution = job.execution("t");
  execution.progress("a").add(100);
  let reported = 0;
  const work = setInterval(() => {
    if (reported === 100) return;
    execution.progress("a").done(1);
    reported += 1;
  }, 5);
  await eventually(() => reported > 20);
  await server.stop("SIGKILL");
  await eventually(() => reported === 100);
  clearInterval(work);
  const finished = execution.finish("succeeded");
  await server.start();
  await finished;
  assert.equal(await client.flush(), true);
  const { progress: [indicator] } = await client.jobs.find(job.id);
  assert.deepEqual([indicator.done, indicator.total], [100n, 100n]);
  assert.equal(execution.stats.dropped, 0);
});

test("a watch resumes after the last snapshot when its connection breaks", async () => {
  const { client, lines } = makeClient();
  const job = await direct.jobs.create("resumed");
  const execution = job.execution("t");
  const seen = [];
  const watching = (async () => {
    for await (const snapshot of client.job(job.id).watch()) seen.push(snapshot);
  })();
  for (let round = 0; round < 3; round += 1) {
    execution.progress("a").done(1);
    await execution.flush();
    await eventually(() => seen.at(-1)?.indicator("a")?.done === BigInt(round + 1));
    proxy.cut();
  }
  await execution.finish();
  await job.finish();
  await watching;
  assert.equal(seen.at(-1).state, "completed");
  const connections = proxy.seen.filter(({ path }) => path.endsWith("/watch"));
  assert.ok(connections.length >= 3, String(connections.length));
  assert.equal(connections[0].headers["last-event-id"], undefined);
  assert.ok(connections.slice(1).some(({ headers }) => /^\d+/.test(headers["last-event-id"] ?? "")));
  assert.ok(seen.every(({ sequence }, index) => index === 0 || sequence >= seen[index - 1].sequence));
  assert.deepEqual(lines, []);
});

for (const [name, fault] of [
  ["does not offer streams", { status: 406, headers: {} }], ["blocks the route", { status: 404, headers: { "content-type": "text/html" }, body: "<html>" }],
  ["buffers streams", "hold"],
]) {
  test(`a watch polls if a proxy ${name}`, async () => {
    const { client } = makeClient();
    proxy.always = is("/watch", fault);
    const job = await direct.jobs.create("polled");
    const execution = job.execution("t");
    const seen = [];
    const watching = (async () => {
      for await (const update of new Watch(client, job.id, { idleMax: 300 }).updates()) if (update.kind === "snapshot") seen.push(update.snapshot);
    })();
    await eventually(() => seen.length > 0);
    execution.progress("a").done(1);
    await execution.finish();
    await eventually(() => seen.at(-1).indicator("a")?.done === 1n);
    await job.finish();
    await watching;
    assert.equal(seen.at(-1).state, "completed");
    const polls = proxy.seen.filter(({ path }) => path.endsWith("/progress"));
    assert.ok(polls.some(({ headers }) => headers["if-none-match"] !== undefined && headers.prefer === "wait=25"));
    proxy.always = () => "pass";
    proxy.cut();
  });
}

test("a process that is killed loses at most its last second, and its retry counts alone", async () => {
  const job = await direct.jobs.create("killed");
  const program = `
    const execution = new Client(${JSON.stringify(server.url)}).job(${JSON.stringify(job.id)}).execution("t", { attempt: Number(process.env.ATTEMPT) });
    execution.progress("a").add(1000);
    await execution.started();
    const timer = setInterval(() => execution.progress("a").done(1), 2);
    if (process.env.ATTEMPT === "2") setTimeout(async () => { clearInterval(timer); execution.progress("a").setDone(1000); await execution.finish(); }, 500);
  `;
  const first = start(program, { ATTEMPT: "1" });
  await eventually(async () => (await direct.jobs.find(job.id)).progress[0]?.done > 0n);
  first.child.kill("SIGKILL");
  assert.equal((await first.end()).signal, "SIGKILL");
  const second = await start(program, { ATTEMPT: "2" }).end();
  assert.deepEqual([second.code, second.errors], [0, ""]);
  const { progress: [indicator], snapshot } = await eventually(async () => {
    const found = await direct.jobs.find(job.id);
    return found.snapshot.tasks.succeeded === 1 && found;
  });
  assert.deepEqual([indicator.done, indicator.total, indicator.attemptedTotal], [1000n, 1000n, 2000n]);
  assert.equal(snapshot.tasks.supersededExecutions, 1);
});
