/**
 * One request over node:http(s), kept small: the built-in fetch brings several MiB of resident memory that an idle
 * agent should not hold. Answers are bounded; an answer that is too long is an error, not a truncated success.
 */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import type { ConnectionOptions, SecureContextOptions } from "node:tls";
import { readTls, type TlsFiles } from "./tls.ts";

export type HttpRequest = {
  url: string;
  method: "GET" | "POST";
  headers?: Record<string, string>;
  body?: string;
  /** Without an answer by then the request is given up. */
  timeoutMs: number;
  answerBytesMax: number;
  signal?: AbortSignal;
};
export type HttpAnswer = {
  status: number;
  body: Buffer;
  /** The other end's clock (RFC 9110, Date), if it says so. */
  date: string | undefined;
};

/** TCP keep-alive: no middlebox forgets a poll that waits for minutes, and one whose connection died is noticed. */
const PROBED_AFTER_MS = 60_000;
// One connection for the long poll and one for everything else is all that an agent needs.
const keepAlive = {
  keepAlive: true,
  keepAliveMsecs: PROBED_AFTER_MS,
  maxSockets: 4,
  maxFreeSockets: 2,
  timeout: 60_000,
};
const httpAgent = new HttpAgent(keepAlive);
let ownTls: () => SecureContextOptions = () => ({});

/** Certificates that live for hours are renewed in their files: each new connection reads them again. */
class ReadingAgent extends HttpsAgent {
  override createConnection(
    options: ConnectionOptions,
    connected?: (error: Error | null, stream: Duplex) => void,
  ) {
    return super.createConnection({ ...options, ...ownTls() }, connected);
  }
}
// A session that is resumed would go on with the certificate that it began with.
const httpsAgent = new ReadingAgent({ ...keepAlive, maxCachedSessions: 0 });

/**
 * Throws where the files are not right. Later, while they are renewed one after the other, what they held before goes
 * on: an error here would reach nobody, since for a request that waits for its turn Node's agent connects on its own.
 */
export function useTls(files: TlsFiles | null, unreadable: (error: Error) => void = () => {}): void {
  if (!files) {
    ownTls = () => ({});
    return;
  }
  let held = readTls(files);
  let told = false;
  ownTls = () => {
    try {
      held = readTls(files);
      told = false;
    } catch (error) {
      // Once, and not at each connection.
      if (!told) unreadable(error as Error);
      told = true;
    }
    return held;
  };
}

export function sendHttp(input: HttpRequest): Promise<HttpAnswer> {
  const secure = input.url.startsWith("https:");
  return new Promise((resolve, reject) => {
    const outgoing = (secure ? httpsRequest : httpRequest)(
      input.url,
      {
        method: input.method,
        agent: secure ? httpsAgent : httpAgent,
        headers: {
          accept: "application/json",
          ...(input.body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(input.body) }),
          ...input.headers,
        },
        ...(input.signal ? { signal: input.signal } : {}),
      },
      answer => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        answer.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > input.answerBytesMax)
            outgoing.destroy(new Error(`the answer is longer than ${input.answerBytesMax} bytes`));
          else chunks.push(chunk);
        });
        answer.on("end", () =>
          resolve({
            status: answer.statusCode ?? 0,
            body: Buffer.concat(chunks),
            date: answer.headers.date,
          }),
        );
        answer.on("error", reject);
      },
    );
    // The whole exchange is timed, not the silence between two bytes.
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`no answer within ${input.timeoutMs} ms`)),
      input.timeoutMs,
    );
    outgoing.on("error", reject);
    outgoing.on("close", () => clearTimeout(timer));
    outgoing.end(input.body);
  });
}

export function closeHttp(): void {
  httpAgent.destroy();
  httpsAgent.destroy();
}
