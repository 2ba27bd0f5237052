// Reports and reads with a real server.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test, { after, before } from "node:test";
import { Client, current, progress, stringify } from "../../Sources/javascript-client/src/node.js";
import { cleanEnvironment, eventually, LedgerServer, makeLog, source, start, withoutAge } from "./support.mjs";

let server;
let client;

before(async () => {
  server = await LedgerServer.start();
  client = new Client(server.url);
});

after(async () => {
  await client.close();
  await server.remove();
});

async function collect(items) {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}

test("a task reports, and the job shows label, done and total", async () => {
  const job = await client.jobs.create("mosaic", { key: "mosaic-1", tags: { team: "maps" } });
  const execution = job.execution("tile-17", { attempt: 2 });
  const download = execution.progress("download");
  download.add(10);
  for (let unit = 0; unit < 10; unit += 1) download.done();
  execution.progress().add(1);
  assert.equal(await execution.finish("succeeded"), true);
  assert.deepEqual([execution.stats.dropped, execution.stats.pending, execution.stats.attempt], [0, 0, 2]);
  assert.equal(await job.finish("completed"), true);

  const found = await client.jobs.find(job.id);
  assert.deepEqual(found.progress.map(({ label, done, total, percent }) => [label, done, total, percent]), [["download", 10n, 10n, 100], [null, 0n, 1n, 0]]);
  assert.equal(String(found.progress[0]), "download: 10/10");
  assert.deepEqual([found.name, found.key, found.state, { ...found.tags }], ["mosaic", "mosaic-1", "completed", { team: "maps" }]);
  assert.equal((await client.jobs.find({ key: "mosaic-1" })).id, job.id);
  assert.equal((await client.jobs.create("mosaic", { key: "mosaic-1", tags: { team: "maps" } })).id, job.id);
  await assert.rejects(client.jobs.create("other", { key: "mosaic-1" }), { code: "conflict" });
  await assert.rejects(client.jobs.find({ key: "no such key" }), { code: "not_found" });
  await assert.rejects(client.jobs.find("01900000-0000-7000-8000-000000000000"), { code: "not_found" });
  await assert.rejects(client.jobs.create(""), { code: "invalid_value", field: "name" });
});

test("jobs are listed by state, name, key and tags, page after page", async () => {
  const ids = [];
  for (let index = 0; index < 3; index += 1) ids.push((await client.jobs.create("listed", { tags: { index: String(index), set: "l" } })).id);
  assert.deepEqual((await collect(client.jobs.list({ name: "listed" }))).map(({ id }) => id), ids.reverse());
  assert.deepEqual((await collect(client.jobs.list({ tags: { set: "l", index: "1" } }))).map(({ id }) => id), [ids[1]]);
  assert.equal((await collect(client.jobs.list({ name: "listed", state: "failed" }))).length, 0);
});

test("sums beyond 2^53 are exact, and can be written as JSON", async () => {
  const job = await client.jobs.create("large");
  const execution = job.execution("t");
  const max = Number.MAX_SAFE_INTEGER;
  for (const n of [max, BigInt(max), 5]) execution.progress("a").add(n);
  execution.progress("a").done(7n);
  await execution.finish();
  const { progress: [indicator] } = await client.jobs.find(job.id);
  assert.equal(indicator.total, 2n * BigInt(max) + 5n);
  assert.equal(indicator.done, 7n);
  assert.match(stringify(indicator), /"total":18014398509481987,/);
});

test("run reports the outcome, and progress finds the execution in every function that the work calls", async () => {
  const job = await client.jobs.create("run");
  const inner = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    progress("a").done(1);
  };
  const result = await job.run("good", async (execution) => {
    assert.equal(current(), execution);
    progress("a").add(2);
    await Promise.all([inner(), inner()]);
    return "result";
  });
  assert.equal(result, "result");
  const failure = new TypeError("secret https://u:p@host/x\nsecond line");
  await assert.rejects(job.run("bad", () => { throw failure; }), failure);
  await assert.rejects(job.run("stopped", () => AbortSignal.abort().throwIfAborted()), { name: "AbortError" });
  progress("a").done(1);
  assert.equal(current(), undefined);
  const tasks = await collect(job.tasks());
  assert.deepEqual(tasks.map(({ task, state }) => [task, state]), [["good", "succeeded"], ["bad", "failed"], ["stopped", "canceled"]]);
  assert.deepEqual(tasks[0].executions[0].progress, [{ label: "a", total: 2n, done: 2n }]);
});

test("a newer execution supersedes, and the older one learns of it", async () => {
  const eager = new Client({ url: server.url, checkInterval: 100, interval: 50, log: () => {} });
  const job = await eager.jobs.create("superseded");
  const told = [];
  const first = job.execution("t", { attempt: 1, onSuperseded: (execution) => told.push(execution) });
  first.progress("a").add(5);
  assert.equal(await first.flush(), true);
  const aborted = new Promise((resolve) => first.signal.addEventListener("abort", resolve));
  const second = job.execution("t", { attempt: 2 });
  assert.equal(await second.started(), true);
  await aborted;
  assert.deepEqual([first.superseded, first.signal.reason.code, told], [true, "superseded", [first]]);
  first.progress("a").done(5);
  assert.equal(await first.finish("succeeded"), true);
  const zombie = job.execution("t", { attempt: 1 });
  assert.equal(await zombie.started(), false);
  assert.equal(zombie.superseded, true);
  await zombie.finish("failed");
  second.progress("a").add(2);
  await second.finish("succeeded");
  const explanation = await job.explain("a");
  assert.deepEqual([explanation.conservation.counted.total, explanation.conservation.superseded.total, explanation.conservation.superseded.done], [2n, 5n, 5n]);
  assert.deepEqual(explanation.contributions.map(({ task, attempt, supersededBy }) => [task, attempt, supersededBy?.attempt ?? null]), [["t", 1, 2], ["t", 2, null]]);
  const points = await job.history("a");
  assert.ok(points.some(({ cause }) => cause?.task === "t" && cause.lost.total === 5n));
  await eager.close();
});

test("a callback that fails or blocks disturbs nothing", async () => {
  const { lines, log } = makeLog();
  const eager = new Client({ url: server.url, checkInterval: 100, interval: 50, log });
  const job = await eager.jobs.create("callbacks");
  const first = job.execution("t", { attempt: 1, onSuperseded: async () => { throw new Error("callback"); } });
  await first.started();
  await job.execution("t", { attempt: 2 }).started();
  await new Promise((resolve) => first.signal.addEventListener("abort", resolve));
  first.progress("a").done(1);
  assert.equal(await first.flush(), true);
  assert.ok(lines.some((line) => line.includes("a callback of execution")), lines.join("\n"));
  await eager.close();
});

test("the end of the job is told, a canceled job refuses executions, and one may reopen it", async () => {
  const { lines, log } = makeLog();
  const own = new Client({ url: server.url, interval: 50, log });
  const job = await own.jobs.create("canceled");
  const ends = [];
  const execution = job.execution("t", { onJobEnded: (state) => ends.push(state) });
  await execution.started();
  await client.job(job.id).finish("canceled", {});
  // The state in a response may lag.
  await eventually(async () => {
    execution.progress("a").done(1);
    await execution.flush();
    return ends.length > 0;
  });
  assert.deepEqual([execution.jobEnded, ends, execution.signal.aborted], ["canceled", ["canceled"], true]);
  await execution.finish("canceled");
  const refused = job.execution("u");
  refused.progress("a").done(1);
  assert.equal(await refused.started(), false);
  assert.equal(await refused.finish("failed"), false);
  assert.equal(refused.stats.dropped, 3);
  assert.equal((await job.refresh()).state, "canceled");
  assert.ok(lines.some((line) => line.includes("the job is canceled")), lines.join("\n"));
  const reopening = job.execution("u", { unlessCanceled: false });
  assert.equal(await reopening.started(), true);
  assert.equal((await job.refresh()).state, "running");
  await reopening.finish();
  await own.close();
});

test("executions of one task are recorded in the order of the calls", async () => {
  const job = await client.jobs.create("order");
  const executions = Array.from({ length: 5 }, () => job.execution("t"));
  for (const execution of executions) execution.progress("a").done(1);
  assert.deepEqual(await Promise.all(executions.map((execution) => execution.started())), [true, true, true, true, true]);
  assert.deepEqual(executions.map(({ stats }) => stats.attempt), [1, 2, 3, 4, 5]);
  await Promise.all(executions.map((execution) => execution.finish()));
  const { progress: [indicator] } = await client.jobs.find(job.id);
  assert.deepEqual([indicator.done, indicator.attemptedDone], [1n, 5n]);
});

test("a task without a job, or a job that does not exist, is refused once", async () => {
  const { lines, log } = makeLog();
  const own = new Client({ url: server.url, log });
  const execution = own.job("01900000-0000-7000-8000-000000000000").execution("t");
  execution.progress("a").done(1);
  assert.equal(await execution.finish(), false);
  assert.equal(execution.stats.dropped, 3);
  assert.equal(execution.stats.lastError.code, "not_found");
  assert.equal(await own.job("01900000-0000-7000-8000-000000000000").finish(), false);
  assert.equal(lines.filter((line) => line.includes("refused the start")).length, 1);
  await own.close();
});

test("events, an answer and past moments can be read", async () => {
  const job = await client.jobs.create("read");
  const execution = job.execution("t", { attempt: 1 });
  execution.progress("a").add(4);
  await execution.flush();
  execution.progress("a").done(1);
  await execution.finish();
  const events = await collect(job.events());
  assert.deepEqual(events.map(({ type }) => type), ["job_created", "execution_started", "progress", "progress", "execution_finished"]);
  assert.deepEqual(events.map(({ sequence, verdict }) => [sequence, verdict]), [1, 2, 3, 4, 5].map((sequence) => [sequence, "counted"]));
  assert.deepEqual([events[2].total, events[2].done, events[3].done, events[4].outcome], [4n, null, 1n, "succeeded"]);
  assert.match(events[2].hash, /^[0-9a-f]{64}$/);
  assert.deepEqual((await collect(job.events({ descending: true, after: 3 }))).map(({ sequence }) => sequence), [2, 1]);
  assert.deepEqual((await collect(job.events({ label: "a" }))).length, 2);
  assert.deepEqual((await job.snapshotAt({ sequence: 3 })).indicator("a").done, 0n);
  assert.equal((await job.snapshotAt({ policy: "last_successful" })).indicator("a").done, 1n);
  const answer = await job.answer();
  assert.match(answer.text, /25/);
  assert.ok(answer.askAgainSeconds > 0);
  await job.refresh();
  assert.equal(job.snapshot.sequence, 5);
  assert.ok(job.estimate === null || job.estimate.at instanceof Date);
  await assert.rejects(job.snapshotAt({ sequence: 99 }), { code: "refused" });
  await assert.rejects(job.explain("no such label"), { code: "not_found" });
});

test("a running job has an estimate, or says why not", async () => {
  const job = await client.jobs.create("estimated");
  const execution = job.execution("t");
  execution.progress("a").add(4);
  await execution.flush();
  await job.refresh();
  assert.equal(job.estimate.reason, "no_progress");
  execution.progress("a").done(2);
  await execution.flush();
  const { estimate } = await job.refresh();
  assert.ok(estimate.remainingSeconds === null ? estimate.reason !== null : estimate.finishAt.p50 instanceof Date);
  await execution.finish();
});

test("many executions at once are exact", async () => {
  const own = new Client({ url: server.url });
  const job = await own.jobs.create("many");
  await Promise.all(Array.from({ length: 60 }, (_, index) => job.run(`t${index}`, async (execution) => {
    for (let unit = 0; unit < 50; unit += 1) execution.progress(`label ${unit % 3}`).done(1);
  })));
  const { snapshot } = await own.jobs.find(job.id);
  assert.equal(snapshot.progress.reduce((sum, { done }) => sum + done, 0n), 3_000n);
  assert.equal(snapshot.tasks.succeeded, 60);
  assert.equal(await own.close(), true);
});

test("watch follows a job to its end, and wait returns the last snapshot", async () => {
  const job = await client.jobs.create("watched");
  const seen = [];
  const watching = (async () => {
    for await (const snapshot of client.job(job.id).watch()) seen.push(snapshot);
  })();
  const waiting = job.wait();
  await job.run("t", async (execution) => {
    for (let unit = 0; unit < 3; unit += 1) {
      execution.progress("a").done(1);
      await execution.flush();
    }
  });
  await job.finish();
  await watching;
  assert.equal((await waiting).state, "completed");
  const last = seen.at(-1);
  assert.deepEqual([last.state, last.indicator("a").done], ["completed", 3n]);
  assert.ok(seen.every(({ sequence }, index) => index === 0 || sequence >= seen[index - 1].sequence));
  assert.equal((await collect(job.watch())).length, 1, "a finished job has one snapshot");
  await assert.rejects(collect(client.job("01900000-0000-7000-8000-000000000000").watch()), { code: "not_found" });
});

test("a watch ends when its loop is left, and when its signal is aborted", async () => {
  const job = await client.jobs.create("left");
  for await (const snapshot of job.watch()) {
    assert.equal(snapshot.state, "running");
    break;
  }
  const controller = new AbortController();
  const watching = async () => {
    for await (const _ of job.watch({ signal: controller.signal })) setImmediate(() => controller.abort());
  };
  await assert.rejects(watching(), { code: "aborted" });
  await assert.rejects(collect(job.watch({ signal: AbortSignal.abort() })), { code: "aborted" });
  await assert.rejects(job.refresh({ signal: AbortSignal.abort() }), { code: "aborted" });
});

const folder = new URL("../../Sources/javascript-client/", import.meta.url);

test("the example runs, and its retry counts alone", () => {
  const example = fileURLToPath(new URL("examples/workflow.mjs", folder));
  const { status, stdout, stderr } = spawnSync(process.execPath, [example, server.url], { env: cleanEnvironment(), encoding: "utf8" });
  assert.deepEqual([status, stdout, withoutAge(stderr)], [0, "tile 2, attempt 1: connection reset\ndownload: 9/9\n", ""]);
});

test("the example of the README runs", async () => {
  const [, sample] = /```js\n(.*?)```/s.exec(readFileSync(new URL("README.md", folder), "utf8"));
  const program = sample.replace(/^import .*\n/, "").replace("http://localhost:8080", server.url);
  const { code, output, errors } = await start(program).end();
  assert.deepEqual([code, output, withoutAge(errors)], [0, "download: 10/10\n", ""]);
});

test("the package has the version of the product, and no dependencies", () => {
  const manifest = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
  const [, version] = /^let version = "(.*)"$/m.exec(readFileSync(new URL("../../Package.swift", folder), "utf8"));
  assert.equal(manifest.version, version);
  assert.deepEqual([manifest.dependencies, manifest.devDependencies], [undefined, undefined]);
  assert.match(fileURLToPath(source), /src\/node\.js$/);
});

test("another process reports to a part of a running execution, exactly", async () => {
  const job = await client.jobs.create("parts");
  const execution = job.execution("t", { attempt: 3 });
  await execution.started();
  execution.progress("a").add(30);
  const program = `
    const client = new Client();
    const part = client.attach();
    for (let unit = 0; unit < 10; unit += 1) part.progress("a").done(1);
    console.log(await part.finish());`;
  const ends = await Promise.all([1, 2, 3].map(() => start(program, execution.environment()).end()));
  assert.deepEqual(ends.map(({ code, output, errors }) => [code, output, withoutAge(errors)]), ends.map(() => [0, "true\n", ""]));
  await execution.finish("succeeded");
  const { progress: [indicator], snapshot } = await client.jobs.find(job.id);
  assert.deepEqual([indicator.done, indicator.total, snapshot.tasks.executions], [30n, 30n, 1]);
});

test("an attached reporter does not delay the next execution of its task", async () => {
  const job = await client.jobs.create("attached");
  const first = job.execution("t", { attempt: 1 });
  await first.started();
  const attached = client.attach(first.handle());
  attached.progress("a").done(1);
  const second = job.execution("t", { attempt: 2 });
  assert.equal(await second.started(), true);
  await Promise.all([attached.finish(), first.finish(), second.finish()]);
});

test("reports of an attached process start no execution of a canceled job", async () => {
  const job = await client.jobs.create("canceled");
  await job.finish("canceled");
  const attached = client.attach({ job: job.id, task: "t", execution: "e", attempt: 1 });
  attached.progress("a").done(7);
  assert.equal(await attached.finish(), false);
  const { dropped, pending } = attached.stats;
  assert.deepEqual([dropped, pending, attached.jobEnded], [1, 0, "canceled"]);
  const { snapshot, progress } = await client.jobs.find(job.id);
  assert.deepEqual([snapshot.state, progress], ["canceled", []]);
});

test("an attached process that has reported goes on after its job is canceled", async () => {
  const job = await client.jobs.create("canceled later");
  const execution = job.execution("t", { attempt: 1 });
  await execution.started();
  const attached = client.attach(execution.handle());
  attached.progress("a").done(1);
  assert.equal(await attached.flush(), true);
  await job.finish("canceled");
  attached.progress("a").done(2);
  assert.equal(await attached.finish(), true);
  const { progress: [indicator] } = await client.jobs.find(job.id);
  assert.equal(indicator.done, 3n);
});

test("messages, links, units and carried units arrive, or an older ledger gets the units without them", async () => {
  const job = await client.jobs.create("notes");
  const execution = job.execution("t", { link: "https://engine.example/t" });
  const files = execution.progress("files", { unit: "files" });
  files.setTotal(5);
  files.skip(2, { message: "cached" });
  files.done(3, { link: "https://log.example/t" });
  await execution.finish("failed", { message: "no space left" });
  const events = await collect(job.events());
  const { stats } = execution;
  assert.deepEqual([stats.dropped, stats.pending], [0, 0]);
  const [indicator] = (await job.refresh()).progress;
  assert.deepEqual([indicator.done, indicator.total], [5n, 5n]);
  const finish = events.find(({ type }) => type === "execution_finished");
  if (finish.message === null) return;
  assert.deepEqual([finish.message, indicator.unit], ["no space left", "files"]);
  const report = events.find(({ type }) => type === "progress");
  assert.deepEqual([report.message, report.link, report.unit, report.carried], ["cached", "https://log.example/t", "files", 2n]);
  assert.equal(events.find(({ type }) => type === "execution_started").link, "https://engine.example/t");
});
