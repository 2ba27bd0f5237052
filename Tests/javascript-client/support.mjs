// Shared by the tests: a real server, a proxy that can fail, a server that sends anything, and programs.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const source = new URL("../../Sources/javascript-client/src/node.js", import.meta.url);
const binary = process.env.PROGRESS_LEDGER_BINARY;

/** A copy of the environment without settings of the ledger. */
export function cleanEnvironment(more = {}) {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith("PROGRESS_LEDGER_"));
  return { ...Object.fromEntries(others), ...more };
}

/** `progress-ledger serve` on a free port, which it keeps after a restart, with a PostgreSQL of its own. */
export class LedgerServer {
  #arguments;
  #process = null;
  #port = 0;

  constructor(...options) {
    if (!binary) throw new Error("PROGRESS_LEDGER_BINARY is not set; run Scripts/test-javascript, which sets it");
    this.#arguments = options;
    // In /tmp, independent of TMPDIR: the path of PostgreSQL's Unix socket must be short.
    this.folder = mkdtempSync("/tmp/progress-ledger-js.");
    chmodSync(this.folder, 0o755);
  }

  static async start(...options) {
    const server = new LedgerServer(...options);
    await server.start();
    return server;
  }

  async start() {
    const options = ["serve", "--port", String(this.#port), "--data", path.join(this.folder, "data"), "--log-level", "error"];
    this.#process = spawn(binary, [...options, ...this.#arguments], { env: cleanEnvironment(), stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    for await (const piece of this.#process.stdout) {
      output += piece;
      if (output.includes("\n")) break;
    }
    const found = /^listening on (https?):\/\/[^:]+:(\d+)/.exec(output);
    if (found === null) throw new Error(`the server did not start: ${output}`);
    this.#port = Number(found[2]);
    this.url = `${found[1]}://127.0.0.1:${this.#port}`;
  }

  async stop(signal = "SIGTERM") {
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    await ended;
  }

  async remove() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs a command of the ledger, such as `token create`, and returns its output. */
  async run(...options) {
    const child = spawn(binary, [...options, "--data", path.join(this.folder, "data")], { env: cleanEnvironment(), stdio: ["ignore", "pipe", "inherit"] });
    const output = readAll(child.stdout);
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`${options.join(" ")} ended with ${code}`);
    return (await output).trim();
  }

  /** Sends a request by `fetch`, independent of the client under test; returns the parsed response. */
  async call(target, body) {
    const response = await fetch(this.url + target, body === undefined ? {} : {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
    return response.json();
  }
}

export async function readAll(stream) {
  let text = "";
  for await (const piece of stream) text += piece;
  return text;
}

/**
 * A proxy that forwards everything to a server, except as told.
 *
 * A fault is a function of the request; it returns `pass`, `cut` (before the server sees the request), `cutAfter`
 * (the server has processed it), `hold` (until the client gives up), or a response `{status, headers, body}`.
 */
export class Proxy {
  faults = [];
  always = () => "pass";
  seen = [];
  #sockets = new Set();

  /** With `tls`, a certificate and its key, it serves https. */
  static async start(target, tls) {
    const proxy = new Proxy();
    const serve = (request, response) => void proxy.#serve(request, response);
    proxy.target = target;
    proxy.server = tls === undefined ? http.createServer(serve) : https.createServer(tls, serve);
    proxy.server.on(tls === undefined ? "connection" : "secureConnection", (socket) => {
      proxy.#sockets.add(socket);
      socket.on("close", () => proxy.#sockets.delete(socket));
    });
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.url = `${tls === undefined ? "http" : "https"}://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  async #serve(request, response) {
    const body = await readAll(request).catch(() => null);
    if (body === null) return;
    const seen = { method: request.method, path: request.url, headers: request.headers, body };
    const fault = (this.faults.shift() ?? this.always)(seen);
    this.seen.push(seen);
    if (fault === "hold") return;
    if (fault === "cut") {
      request.socket.destroy();
      return;
    }
    if (typeof fault === "object") {
      response.writeHead(fault.status, fault.headers);
      response.end(fault.body ?? "");
      return;
    }
    const { host: _, connection: __, ...headers } = request.headers;
    const forwarded = http.request(this.target + request.url, { method: request.method, headers, agent: false }, (answer) => {
      if (fault === "cutAfter") {
        answer.resume();
        answer.on("end", () => request.socket.destroy());
        return;
      }
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    });
    forwarded.on("error", () => request.socket.destroy());
    response.on("close", () => forwarded.destroy());
    forwarded.end(body);
  }

  /** The appends that have arrived. */
  get appends() {
    return this.seen.filter(({ method, path: target }) => method === "POST" && target.includes("/events"));
  }

  /** Breaks all connections. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  close() {
    this.server.close();
    this.cut();
  }
}

/** A server of the test's own; `handle` gets each request with its body. */
export async function serve(handle) {
  const sockets = new Set();
  const server = http.createServer(async (request, response) => {
    const body = await readAll(request).catch(() => "");
    handle(request, response, body);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Waits until a condition holds; its failure names the condition. */
export async function eventually(condition, seconds = 20) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`waited ${seconds} s for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs a program in Node; it may use `Client`, and `library`, everything that the package exports. */
export function start(program, environment = {}) {
  const text = `import * as library from ${JSON.stringify(fileURLToPath(source))};\nconst { Client } = library;\n${program}`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", text], { env: cleanEnvironment(environment), stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "exit");
  const output = readAll(child.stdout);
  const errors = readAll(child.stderr);
  return {
    child,
    /** Waits for the end of the program. */
    end: async () => {
      const began = performance.now();
      const [code, signal] = await ended;
      return { code, signal, seconds: (performance.now() - began) / 1000, output: await output, errors: await errors };
    },
  };
}

/** The output of a program without the line about a ledger that knows no notes and parts. */
export function withoutAge(errors) {
  return errors.replace(/^progress ledger: the ledger is older than this client: .*\n/gm, "");
}

/** Writes a file for one test, and returns its path. */
export function writeTo(folder, name, text) {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** A log for a client, whose lines a test may read. */
export function makeLog() {
  const lines = [];
  return { lines, log: (line) => void lines.push(line) };
}
