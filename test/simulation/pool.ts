/** A few connections that many nodes share, as a TLS terminator keeps them to the API behind it. */
import { type Address, type Answer, Connection } from "./connection.ts";

/** As long as an agent waits for an answer. */
const PATIENCE_MS = 15_000;

interface Queued {
  args: Parameters<Connection["request"]>;
  resolve(answer: Answer): void;
  reject(error: Error): void;
  askedMs: number;
}

export class Pool {
  readonly #free: Connection[];
  readonly #all: Connection[];
  readonly #queue: Queued[] = [];
  #next = 0;

  /** To several addresses in turn. */
  constructor(to: readonly Address[], size: number) {
    this.#all = Array.from({ length: size }, (_, i) => new Connection(to[i % to.length]!));
    this.#free = [...this.#all];
  }

  request(...args: Parameters<Connection["request"]>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ args, resolve, reject, askedMs: Date.now() });
      this.#serve();
    });
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }

  #serve(): void {
    while (this.#free.length > 0 && this.#next < this.#queue.length) {
      const { args, resolve, reject, askedMs } = this.#queue[this.#next++]!;
      if (this.#next > 1_000) {
        this.#queue.splice(0, this.#next);
        this.#next = 0;
      }
      if (Date.now() - askedMs > PATIENCE_MS) {
        reject(new Error("nobody served it in time"));
        continue;
      }
      const connection = this.#free.pop()!;
      connection
        .request(...args)
        .then(resolve, reject)
        .finally(() => {
          this.#free.push(connection);
          this.#serve();
        });
    }
  }
}
