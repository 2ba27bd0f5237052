/** @type {import("./platform.js").Transport} */
export function webTransport(url: string, { method, headers, body }: {
    method: string;
    headers: Record<string, string>;
    body?: string | undefined;
}, signal: AbortSignal): Promise<import("./platform.js").Stream>;
