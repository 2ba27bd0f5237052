// Requests by node:http and node:https. `fetch` of Node cannot trust a certificate authority of one's own.

import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as path from "node:path";
import { InvalidValueError } from "./errors.js";
import { requestsMax, tokenBytesMax } from "./limits.js";

/** The longest idle time of a connection that is used again, in milliseconds. The ledger closes it after 75 s. */
const idleMax = 30_000;
/** The maximum size of a file of certificates; the systems' files have a quarter of a megabyte. */
const certificatesBytesMax = 16 * 1024 * 1024;

/**
 * @param {URL} url @param {import("./platform.js").Files} files
 * @returns {import("./platform.js").Transport}
 */
export function nodeTransport(url, files) {
  const isSecure = url.protocol === "https:";
  const options = { keepAlive: true, maxFreeSockets: requestsMax, timeout: idleMax };
  const secure = { ...options, minVersion: "TLSv1.2", ...certificates(files) };
  const agent = isSecure ? new https.Agent(secure) : new http.Agent(options);
  const module = isSecure ? https : http;
  return (address, { method, headers, body }, signal) => new Promise((resolve, reject) => {
    const request = module.request(address, {
      method, agent, signal,
      headers: {
        "user-agent": "progress-ledger-javascript", ...headers,
        ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }),
      },
    });
    // A connection does not keep the process alive: its waiting caller does.
    request.on("socket", (socket) => socket.unref());
    request.on("error", reject);
    request.on("response", (response) => {
      // An error after the head ends the iteration; without a listener it would end the process.
      response.on("error", () => {});
      resolve({
        status: response.statusCode ?? 0,
        header: (name) => {
          const value = response.headers[name];
          return Array.isArray(value) ? value.join(", ") : value ?? null;
        },
        chunks: response,
        close: () => void response.destroy(),
      });
    });
    request.end(body);
  });
}

/** @param {import("./platform.js").Files} files */
function certificates({ ca, certificate, key }) {
  if ((certificate === undefined) !== (key === undefined)) {
    throw new InvalidValueError("client certificate", "needs both a certificate and a key");
  }
  return {
    ...(ca === undefined ? {} : { ca: readCertificates(ca) }),
    ...(certificate === undefined ? {} : { cert: readCertificates(certificate) }),
    ...(key === undefined ? {} : { key: readFile(key, certificatesBytesMax) }),
  };
}

/** @param {string} file */
function readCertificates(file) {
  const text = readFile(file, certificatesBytesMax);
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw new InvalidValueError("CA file", `${file} has no certificates`);
  return text;
}

/**
 * Reads a regular file up to a limit: a pipe or a device could block for ever.
 * @param {string} file @param {number} bytesMax
 * @returns {string}
 */
function readFile(file, bytesMax) {
  const status = fs.statSync(file);
  if (!status.isFile()) throw new Error(`${file} is not a regular file`);
  if (status.size > bytesMax) throw new Error(`${file} is larger than ${bytesMax} bytes`);
  return fs.readFileSync(file, "utf8");
}

/**
 * A bearer token in a file, which is read again when it changes: some systems replace it while a task runs, such as
 * Kubernetes for service accounts.
 * @param {string} file
 * @returns {() => string}
 */
export function tokenFile(file) {
  // The task may change its working folder.
  const absolute = path.resolve(file);
  let version = "";
  let token = "";
  const read = () => {
    const { ino, size, mtimeMs } = fs.statSync(absolute);
    const found = `${ino} ${size} ${mtimeMs}`;
    if (found === version) return;
    const text = readFile(absolute, tokenBytesMax).trim();
    if (!/^[\x20-\x7e]+$/.test(text)) throw new Error(`${absolute} does not contain a token`);
    token = text;
    version = found;
  };
  read();
  return () => {
    try {
      read();
    } catch {
      // While the file is being replaced, the last token may still be right.
    }
    return token;
  };
}
