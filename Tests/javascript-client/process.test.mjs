// The ends of processes, and the files of a connection.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test, { after, before } from "node:test";
import { Client, flushOnSignal } from "../../Sources/javascript-client/src/node.js";
import { eventually, LedgerServer, makeLog, Proxy, serve, start, writeTo } from "./support.mjs";

let folder;
let server;
let client;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "progress-ledger-js-files."));
  makeCertificate("ca.pem", "key.pem");
  server = await LedgerServer.start();
  client = new Client(server.url);
});

after(async () => {
  await server.remove();
  rmSync(folder, { recursive: true });
});

/** Makes a certificate, which is its own authority, and returns it with its key. */
function makeCertificate(certificate, key) {
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
    "-keyout", path.join(folder, key), "-out", path.join(folder, certificate)], { stdio: "ignore" });
  return { cert: readFileSync(path.join(folder, certificate)), key: readFileSync(path.join(folder, key)) };
}

/** Replaces a file at once, as programs that rotate certificates do. */
function replaceFile(name, content) {
  writeTo(folder, `${name}.new`, content);
  renameSync(path.join(folder, `${name}.new`), path.join(folder, name));
  return path.join(folder, name);
}

/** A program that reports and does not wait. */
function program(job, end) {
  return `
    const client = new Client();
    const execution = client.job(${JSON.stringify(job)}).execution("t");
    execution.progress("a").add(2);
    execution.progress("a").done(1);
    ${end}`;
}

async function done(job) {
  const found = await eventually(async () => {
    const read = await client.jobs.find(job);
    return read.progress.length > 0 && read;
  });
  return { done: found.progress[0].done, tasks: found.snapshot.tasks };
}

test("a process that ends without a wait sends everything before it ends", async () => {
  const job = await client.jobs.create("ends");
  const end = await start(program(job.id, 'execution.finish("succeeded");'), { PROGRESS_LEDGER_URL: server.url }).end();
  assert.deepEqual([end.code, end.output, end.errors], [0, "", ""]);
  const { done: units, tasks } = await done(job.id);
  assert.deepEqual([units, tasks.succeeded], [1n, 1]);
});

test("a process with an open execution sends its reports, and invents no end", async () => {
  const job = await client.jobs.create("open");
  const end = await start(program(job.id, "process.exitCode = 7;"), { PROGRESS_LEDGER_URL: server.url }).end();
  assert.deepEqual([end.code, end.errors], [7, ""]);
  const { done: units, tasks } = await done(job.id);
  assert.deepEqual([units, tasks.running], [1n, 1]);
});

test("process.exit loses unsent reports, and says so once", async () => {
  const job = await client.jobs.create("exit");
  const end = await start(program(job.id, "process.exit(3);"), { PROGRESS_LEDGER_URL: server.url }).end();
  assert.equal(end.code, 3);
  assert.match(end.errors, /^progress ledger: http:\S+: 2 reports were given up undelivered: the process ends\n$/);
});

test("an error of the task ends the process as without the client", async () => {
  const job = await client.jobs.create("error");
  const end = await start(program(job.id, 'throw new Error("of the task");'), { PROGRESS_LEDGER_URL: server.url }).end();
  assert.equal(end.code, 1);
  assert.match(end.errors, /of the task/);
});

test("a process ends at once if nothing is unsent, and after 5 s at most without a ledger", async (t) => {
  const job = await client.jobs.create("delays");
  const fast = await start(program(job.id, "await execution.finish(); await client.job(process.env.JOB).refresh();"), { PROGRESS_LEDGER_URL: server.url, JOB: job.id }).end();
  assert.equal(fast.code, 0);
  const silent = await serve(() => {});
  t.after(silent.close);
  const clock = 'const began = performance.now(); process.on("exit", () => console.log(performance.now() - began));';
  const slow = await start(program(job.id, clock), { PROGRESS_LEDGER_URL: silent.url }).end();
  assert.equal(slow.code, 0);
  // 5 s, with some time for a busy machine.
  assert.ok(Number(slow.output) > 4_000 && Number(slow.output) < 8_000, slow.output);
  assert.match(slow.errors, /no response in/);
});

test("a signal cancels open executions, sends everything and ends the process by it", async () => {
  const job = await client.jobs.create("signal");
  const running = start(program(job.id, "library.flushOnSignal(client); await execution.started(); console.log('started'); setInterval(() => {}, 1000);"), { PROGRESS_LEDGER_URL: server.url });
  await eventually(async () => (await client.jobs.find(job.id)).snapshot.tasks.running === 1);
  running.child.kill("SIGTERM");
  const end = await running.end();
  assert.deepEqual([end.signal, end.errors], ["SIGTERM", ""]);
  const { done: units, tasks } = await done(job.id);
  assert.deepEqual([units, tasks.canceled], [1n, 1]);
});

test("a signal that is sent twice within a second counts once", (t) => {
  let now = 0;
  const unresponsive = { platform: { now: () => now }, cancelAll: () => {}, close: () => new Promise(() => {}) };
  // With a handler of the program, the signal ends nothing else.
  const handler = () => {};
  process.on("SIGUSR2", handler);
  t.after(() => process.removeListener("SIGUSR2", handler));
  const stop = flushOnSignal(unresponsive, ["SIGUSR2"]);
  t.after(stop);
  const isWaiting = () => process.listenerCount("SIGUSR2") === 2;
  for (const [moment, expected] of [[0, true], [0, true], [999, true], [1_000, false]]) {
    now = moment;
    process.emit("SIGUSR2", "SIGUSR2");
    assert.equal(isWaiting(), expected, `after ${moment} ms`);
  }
});

test("a second signal ends the process at once, although the ledger does not respond", async (t) => {
  const silent = await serve(() => {});
  t.after(silent.close);
  const running = start(program("j", "library.flushOnSignal(client); console.log('started'); setInterval(() => {}, 1000);"), { PROGRESS_LEDGER_URL: silent.url });
  await new Promise((resolve) => running.child.stdout.once("data", resolve));
  running.child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  running.child.kill("SIGINT");
  const end = await running.end();
  assert.equal(end.signal, "SIGINT");
  assert.ok(end.seconds < 2, String(end.seconds));
});

test("a worker takes job, task, attempt and token from the environment", async () => {
  const job = await client.jobs.create("environment");
  const end = await start('const e = new Client().job().execution(); e.progress("a").done(1); console.log(await e.finish(), e.stats.attempt);',
    { PROGRESS_LEDGER_URL: server.url, PROGRESS_LEDGER_JOB: job.id, PROGRESS_LEDGER_TASK: "tile", PROGRESS_LEDGER_ATTEMPT: "4" }).end();
  assert.deepEqual([end.output, end.errors], ["true 4\n", ""]);
});

test("the token in a file is read again when it changes", async (t) => {
  const seen = [];
  const other = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(404, { "content-type": "application/problem+json" }).end("{}");
  });
  t.after(other.close);
  const tokenFile = writeTo(folder, "token", "first\n");
  const own = new Client({ url: other.url, tokenFile });
  await assert.rejects(own.jobs.find("j"));
  writeFileSync(tokenFile, "the second\n");
  await assert.rejects(own.jobs.find("j"));
  rmSync(tokenFile);
  await assert.rejects(own.jobs.find("j"));
  assert.deepEqual(seen, ["Bearer first", "Bearer the second", "Bearer the second"]);
});

test("files that cannot be used make the client silent, and are logged", async () => {
  writeTo(folder, "empty", "");
  for (const options of [
    { tokenFile: path.join(folder, "missing") }, { tokenFile: path.join(folder, "empty") }, { tokenFile: "/dev/zero" },
    { url: "https://127.0.0.1:1", caFile: path.join(folder, "empty") }, { url: "https://127.0.0.1:1", caFile: "/dev/zero" },
    { url: "https://127.0.0.1:1", certificateFile: path.join(folder, "ca.pem") },
  ]) {
    const { lines, log } = makeLog();
    const own = new Client({ url: server.url, ...options, log });
    const execution = own.job("j").execution("t");
    execution.progress().done();
    assert.equal(await execution.finish(), true);
    assert.deepEqual([own.isSilent, lines.length], [true, 1]);
    await assert.rejects(own.jobs.find("j"), { code: "invalid_value" });
  }
});

test("https trusts an authority of one's own, and nothing else", async (t) => {
  const secure = await Proxy.start(server.url, { cert: readFileSync(path.join(folder, "ca.pem")), key: readFileSync(path.join(folder, "key.pem")) });
  t.after(() => secure.close());
  const own = new Client({ url: secure.url, caFile: path.join(folder, "ca.pem") });
  const job = await own.jobs.create("secure");
  assert.equal(await job.run("t", (execution) => {
    execution.progress("a").done(1);
    return 1;
  }), 1);
  assert.equal((await job.refresh()).indicator("a").done, 1n);
  const seen = [];
  const watching = (async () => { for await (const { state } of job.watch()) seen.push(state); })();
  await job.finish();
  await watching;
  assert.equal(seen.at(-1), "completed");
  await own.close();
  const { lines, log } = makeLog();
  const careless = new Client({ url: secure.url, log, closeWait: 300 });
  assert.equal(await careless.job(job.id).execution("t").finish(), false);
  assert.match(lines[0], /certificate/);
  await careless.close();
});

test("renewed certificates and authorities are used without a restart", async (t) => {
  const old = makeCertificate("old.pem", "old.key");
  const renewed = makeCertificate("renewed.pem", "renewed.key");
  const secure = await Proxy.start(server.url, { ...old, ca: old.cert, requestCert: true });
  t.after(() => secure.close());
  const { lines, log } = makeLog();
  const own = new Client({
    url: secure.url, log, caFile: replaceFile("rotated-ca.pem", old.cert),
    certificateFile: replaceFile("rotated.pem", old.cert), keyFile: replaceFile("rotated.key", old.key),
  });
  const job = await own.jobs.create("rotation");
  const execution = job.execution("t");
  execution.progress().done(1);
  await execution.flush();
  let presented = null;
  secure.server.on("secureConnection", (socket) => { presented = socket.getPeerCertificate().fingerprint256; });

  // Another authority for both sides: the files of the client are old in every respect.
  secure.server.setSecureContext({ ...renewed, ca: renewed.cert });
  secure.cut();
  execution.progress().done(1);
  const connection = own.reading;
  await assert.rejects(connection.exchange({ method: "GET", path: `/v1/jobs/${job.id}` }, new AbortController().signal), /certificate/);
  replaceFile("rotated-ca.pem", renewed.cert);
  replaceFile("rotated.pem", renewed.cert);
  await eventually(() => lines.some((line) => line.includes("the last ones remain in use")));
  replaceFile("rotated.key", renewed.key);
  execution.progress().done(1);
  assert.equal(await execution.finish(), true);
  assert.equal((await job.refresh()).indicator().done, 3n);
  assert.equal(presented, new X509Certificate(renewed.cert).fingerprint256);
  await own.close();
});

// The last test: the server has a token afterwards.
test("a token limits a client to what it permits", async () => {
  const job = await client.jobs.create("guarded");
  const admin = await server.run("token", "create", "admin", "--scope", "admin");
  const reader = await server.run("token", "create", "reader", "--scope", "read");
  // The server learns within two seconds that it has tokens.
  await eventually(() => client.jobs.find(job.id).then(() => false, ({ code }) => code === "unauthorized"));
  const own = new Client({ url: server.url, token: reader, log: () => {}, closeWait: 300 });
  const found = await eventually(() => own.jobs.find(job.id).catch((error) => error.code === "unauthorized" ? null : Promise.reject(error)));
  assert.equal(found.name, "guarded");
  await assert.rejects(own.jobs.create("x"), { code: "unauthorized" });
  const execution = own.job(job.id).execution("t");
  assert.equal(await execution.finish(), false);
  assert.equal(execution.stats.lastError.code, "unauthorized");
  await own.close();
  const all = new Client({ url: server.url, token: admin });
  assert.equal(await all.job(job.id).finish("canceled"), true);
});
