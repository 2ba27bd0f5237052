// Requests by node:http and node:https. `fetch` of Node cannot trust a certificate authority of one's own.

import { X509Certificate } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as path from "node:path";
import * as tls from "node:tls";
import { InvalidValueError } from "./errors.js";
import { requestsMax, tokenBytesMax } from "./limits.js";
import { reasonOf } from "./values.js";

/** The longest idle time of a connection that is used again, in milliseconds. The ledger closes it after 75 s. */
const idleMax = 30_000;
/** The maximum size of a file of certificates; the systems' files have a quarter of a megabyte. */
const certificatesBytesMax = 16 * 1024 * 1024;

/**
 * @param {URL} url @param {import("./platform.js").Files} files
 * @param {(problem: string) => void} warn
 * @returns {import("./platform.js").Transport}
 */
export function nodeTransport(url, files, warn) {
  const isSecure = url.protocol === "https:";
  const options = { keepAlive: true, maxFreeSockets: requestsMax, timeout: idleMax };
  const agent = isSecure ? new https.Agent({ ...options, minVersion: "TLSv1.2" }) : new http.Agent(options);
  const currentCertificates = isSecure ? certificates(files, warn) : () => ({});
  const module = isSecure ? https : http;
  return (address, { method, headers, body }, signal) => new Promise((resolve, reject) => {
    const request = module.request(address, {
      // The agent keeps connections with other certificates apart, and closes them when they are idle.
      method, agent, signal, ...currentCertificates(),
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

/**
 * Certificates in PEM, as options of a request.
 * @typedef {{ca?: string, cert?: string, key?: string}} Certificates
 */

/**
 * Returns a function that reads the certificates in the files, again when one of them changes: they are replaced before
 * they expire, while a task runs. While the files cannot be used, for example because only one of a certificate and its
 * key is replaced yet, the last ones remain in use, and a warning is given.
 * @param {import("./platform.js").Files} files @param {(problem: string) => void} warn
 * @returns {() => Certificates} Throws at first if the files cannot be used.
 */
function certificates({ ca, certificate, key }, warn) {
  if ((certificate === undefined) !== (key === undefined)) {
    throw new InvalidValueError("client certificate", "needs both a certificate and a key");
  }
  // The task may change its working folder.
  const paths = [ca, certificate, key].map((file) => file === undefined ? undefined : path.resolve(file));
  const versions = () => paths.map((file) => file === undefined ? "" : versionOf(file)).join();
  // The versions are those before the files are read: a change during the reading is noticed by the next call.
  let version = versions();
  let last = readCertificates(paths);
  let hasWarned = false;
  return () => {
    try {
      const found = versions();
      if (found !== version) {
        last = readCertificates(paths);
        version = found;
      }
      hasWarned = false;
    } catch (error) {
      if (!hasWarned) warn(`the changed certificates cannot be used, and the last ones remain in use: ${reasonOf(error)}`);
      hasWarned = true;
    }
    return last;
  };
}

/**
 * @param {(string | undefined)[]} paths Those of the authorities, the client's certificate and its key.
 * @returns {Certificates}
 */
function readCertificates([ca, certificate, key]) {
  const found = {
    ...(ca === undefined ? {} : { ca: readCertificate(ca) }),
    ...(certificate === undefined ? {} : { cert: readCertificate(certificate) }),
    ...(key === undefined ? {} : { key: readFile(key, certificatesBytesMax) }),
  };
  // Throws if the key is not that of the certificate.
  tls.createSecureContext(found);
  return found;
}

/** @param {string} file */
function readCertificate(file) {
  const text = readFile(file, certificatesBytesMax);
  try {
    new X509Certificate(text);
  } catch {
    throw new InvalidValueError("certificate file", `${file} has no certificate`);
  }
  return text;
}

/**
 * The version of a file's content, without reading it.
 * @param {string} file
 */
function versionOf(file) {
  const { ino, size, mtimeMs } = fs.statSync(file);
  return `${ino} ${size} ${mtimeMs}`;
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
    const found = versionOf(absolute);
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
