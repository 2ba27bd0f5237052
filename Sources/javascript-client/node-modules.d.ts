// The parts of Node that the package uses, for the check of its types where Node's own declarations are not installed.

declare module "node:async_hooks" {
  export class AsyncLocalStorage<T> {
    run<R>(store: T, callback: () => R): R;
    getStore(): T | undefined;
  }
}

declare module "node:crypto" {
  export function randomBytes(size: number): { toString(encoding: "hex"): string };
  export class X509Certificate {
    constructor(text: string);
  }
}

declare module "node:fs" {
  export function statSync(path: string): { ino: number; size: number; mtimeMs: number; isFile(): boolean };
  export function readFileSync(path: string, encoding: "utf8"): string;
}

declare module "node:path" {
  export function resolve(path: string): string;
}

declare module "node:tls" {
  export function createSecureContext(options: object): object;
}

declare module "node:http" {
  export class Agent {
    constructor(options: object);
  }
  interface IncomingMessage extends AsyncIterable<Uint8Array> {
    statusCode?: number;
    headers: Record<string, string | string[] | undefined>;
    on(event: "error", listener: (error: Error) => void): void;
    destroy(): void;
  }
  interface ClientRequest {
    on(event: "socket", listener: (socket: { unref(): void }) => void): void;
    on(event: "error", listener: (error: Error) => void): void;
    on(event: "response", listener: (response: IncomingMessage) => void): void;
    end(body?: string): void;
  }
  export function request(url: string, options: object): ClientRequest;
}

declare module "node:https" {
  export { Agent, request } from "node:http";
}

declare const Buffer: { byteLength(text: string): number };

declare const process: {
  env: Record<string, string | undefined>;
  pid: number;
  on(event: string, listener: (signal: any) => void): void;
  removeListener(event: string, listener: (signal: any) => void): void;
  listenerCount(event: string): number;
  kill(pid: number, signal: string): void;
};
