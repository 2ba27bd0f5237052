// Holds the streams of all pages of a browser: one for all jobs, and one for a list of jobs. It is a shared worker.
//
// A browser opens at most six connections to an HTTP/1.1 server, for all its windows together. With a stream for each
// window, the seventh would never load.
//
// A page sends { kind: "follow", address, number } with the address of a stream, { kind: "alive" } while it follows it,
// and { kind: "leave" }. The worker sends { kind: "live" }, { kind: "event", name, data } for each event, "alive" as a
// response, { kind: "failed", … } if the stream breaks off, and { kind: "refused" } if the page has to read it by
// itself. After the last two, the page does not follow the stream any more. Each message has the number of the request.

import { HeldBack, StatusError, readStream } from "./stream.js";

const jobsMax = 50; // The maximum number of jobs in one stream, as the server allows.
const restartDelay = 30; // Milliseconds in which the pages that open together join one stream.
const aliveMax = 60_000; // A page that was not heard from for so long has been discarded without notice.

const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.

const pages = new Map(); // The number of each page's request, and when the page was last heard from.

function send(port, message) {
  port.postMessage({ ...message, number: pages.get(port)?.number });
}

/** A connection that serves several pages. */
class Channel {
  /** The pages, and what each follows. */
  followers = new Map();
  #address = null; // The address of the stream that is open or being opened.
  #control = null;
  #isLive = false;
  #timer = 0;

  /** Adds a page. */
  add(port, subject) {
    this.followers.set(port, subject);
    if (this.#isLive) send(port, { kind: "live" });
    if (this.covers(subject)) this.replay(port, subject);
    else this.#schedule();
  }

  remove(port) {
    if (this.followers.delete(port)) this.#schedule();
  }

  #schedule() {
    if (this.#timer === 0) this.#timer = setTimeout(() => this.#restart(), restartDelay);
  }

  /** Opens the stream that the pages need now, unless it is open. */
  #restart() {
    this.#timer = 0;
    const address = this.address();
    if (address === this.#address) return;
    this.#control?.abort();
    this.#address = address;
    this.#isLive = false;
    this.forget();
    if (address === null) return;
    this.#control = new AbortController();
    this.#read(address, this.#control.signal);
  }

  async #read(address, signal) {
    let failure = {};
    try {
      await readStream(new URL(address, base), signal, request, {
        live: () => {
          this.#isLive = true;
          for (const port of this.followers.keys()) send(port, { kind: "live" });
        },
        event: (name, data) => this.receive(name, data),
      });
    } catch (error) {
      failure = {
        isHeldBack: error instanceof HeldBack,
        ...(error instanceof StatusError ? { status: error.status, retryAfter: error.retryAfter } : {}),
      };
    }
    if (signal.aborted) return;
    this.#address = null;
    this.#isLive = false;
    this.forget();
    for (const port of this.followers.keys()) send(port, { kind: "failed", ...failure });
    this.followers.clear();
  }
}

async function request(address, headers, control) {
  const response = await fetch(address, { headers, signal: control.signal, cache: "no-store", redirect: "manual" });
  if (!response.ok) throw StatusError.of(response);
  return response;
}

/** The stream of all followed jobs. */
class Jobs extends Channel {
  #newest = new Map(); // The newest snapshot of each job.
  #jobs = [];

  get #followed() {
    return [...new Set(this.followers.values())].sort();
  }

  isFull(job) {
    const jobs = this.#followed;
    return jobs.length >= jobsMax && !jobs.includes(job);
  }

  address() {
    this.#jobs = this.#followed;
    if (this.#jobs.length === 0) return null;
    return this.#jobs.length === 1 ? `v1/jobs/${this.#jobs[0]}/watch` : `v1/watch?jobs=${this.#jobs.join(",")}`;
  }

  covers(job) {
    return this.#newest.has(job);
  }

  replay(port, job) {
    send(port, { kind: "event", name: "snapshot", data: this.#newest.get(job) });
  }

  forget() {
    this.#newest.clear();
  }

  receive(name, data) {
    if (name === "list") return this.#refuseAllBut(JSON.parse(data).jobs);
    // Text in a snapshot cannot contain this, because its quotation marks are escaped.
    const job = /"job":"([^"]*)"/.exec(data)?.[1];
    if (name === "snapshot") this.#newest.set(job, data);
    for (const [port, followed] of this.followers) {
      if (followed === job) send(port, { kind: "event", name, data });
    }
  }

  /** The stream leaves out the jobs that do not exist or that the viewer may not see; their pages find out which. */
  #refuseAllBut(jobs) {
    for (const [port, job] of [...this.followers]) {
      if (jobs.includes(job)) continue;
      this.followers.delete(port);
      send(port, { kind: "refused" });
    }
  }
}

/** The stream of the first list that is followed. */
class List extends Channel {
  #followed = null; // The address of the list.
  #list = null;
  #snapshots = new Map();

  isFull(address) {
    return this.followers.size > 0 && address !== this.#followed;
  }

  address() {
    const [first] = this.followers.values();
    this.#followed = first ?? null;
    return this.#followed;
  }

  add(port, address) {
    this.#followed ??= address;
    super.add(port, address);
  }

  covers() {
    return this.#list !== null;
  }

  replay(port) {
    send(port, { kind: "event", name: "list", data: this.#list });
    for (const data of this.#snapshots.values()) send(port, { kind: "event", name: "snapshot", data });
  }

  forget() {
    this.#list = null;
    this.#snapshots.clear();
  }

  receive(name, data) {
    if (name === "list") {
      this.#list = data;
      const jobs = new Set(JSON.parse(data).jobs);
      for (const job of this.#snapshots.keys()) if (!jobs.has(job)) this.#snapshots.delete(job);
    } else if (name === "snapshot") {
      this.#snapshots.set(/"job":"([^"]*)"/.exec(data)?.[1], data);
    }
    for (const port of this.followers.keys()) send(port, { kind: "event", name, data });
  }
}

const jobs = new Jobs(), list = new List();

function leave(port) {
  jobs.remove(port);
  list.remove(port);
  pages.delete(port);
}

function follow(port, { address, number }) {
  leave(port);
  pages.set(port, { number, heardAt: Date.now() });
  const job = /\/v1\/jobs\/([^/]+)\/watch$/.exec(new URL(address).pathname)?.[1];
  const [channel, subject] = job === undefined ? [list, address] : [jobs, job];
  if (channel.isFull(subject)) send(port, { kind: "refused" });
  else channel.add(port, subject);
}

addEventListener("connect", ({ ports: [port] }) => {
  port.onmessage = ({ data: message }) => {
    switch (message.kind) {
      case "follow": follow(port, message); break;
      case "leave": leave(port); break;
      case "alive":
        if (!pages.has(port)) break;
        pages.get(port).heardAt = Date.now();
        send(port, { kind: "alive" });
        break;
    }
  };
});

setInterval(() => {
  for (const [port, { heardAt }] of pages) if (Date.now() - heardAt > aliveMax) leave(port);
}, aliveMax / 2);
