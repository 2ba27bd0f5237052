/**
 * @param {URL} url @param {import("./platform.js").Files} files
 * @param {(problem: string) => void} warn
 * @returns {import("./platform.js").Transport}
 */
export function nodeTransport(url: URL, files: import("./platform.js").Files, warn: (problem: string) => void): import("./platform.js").Transport;
/**
 * A bearer token in a file, which is read again when it changes: some systems replace it while a task runs, such as
 * Kubernetes for service accounts.
 * @param {string} file
 * @returns {() => string}
 */
export function tokenFile(file: string): () => string;
/**
 * Certificates in PEM, as options of a request.
 */
export type Certificates = {
    ca?: string;
    cert?: string;
    key?: string;
};
