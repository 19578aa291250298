/**
 * The keeper as the agent has it: a process of its own (packages/native/src/keeper) that owns what is held, so that
 * a pause or a crash of this one loses no query. It is started detached, found again by a successor over its socket,
 * and told to retire when the agent stops. Whenever it is away the kernel does not hold, and what the rule version
 * declares for that case holds; it is started again with a growing pause. Why it ended is in its exit code and in the
 * last line that it wrote (packages/native/src/keeper/last-words.c), and is told.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { KeeperHeldView, KeeperHello, KeeperResultView, KeeperStats } from "@picket/native/events";
import type { Log } from "../log.ts";
import {
  answerFrame,
  dropRulesFrame,
  FrameReader,
  type KeeperTable,
  retireFrame,
  rulesFrame,
} from "./frames.ts";

const BINARY = fileURLToPath(import.meta.resolve("@picket/native/keeper"));
const READY_MS = 5_000;
const RETIRE_MS = 5_000;
const PAUSE_FIRST_MS = 100;
const PAUSE_MAX_MS = 10_000;
/** One that ran so long and then ended is started again at once; one that does not come that far, ever later. */
const SETTLED_MS = 10_000;
/** It tells its counts each second: silent for so many, it is stopped or hangs, and what it has waits with it. */
const SILENT_TICKS_MAX = 5;
/** Between the end of its connection and that of its process. */
const EXIT_MS = 200;

export type KeeperHandlers = {
  held(held: KeeperHeldView): void;
  result(result: KeeperResultView): void;
};

export class Keeper {
  readonly #pins: string;
  readonly #path: string;
  readonly #log: Log;
  readonly #handlers: KeeperHandlers;
  readonly #exempt: (pid: number, replaced: number | null) => void;
  #pid: number | null = null;
  readonly #tables = new Map<number, KeeperTable>();
  #policy: Buffer | null = null;
  #socket: Socket | null = null;
  #stopping = false;
  #pauseMs = PAUSE_FIRST_MS;
  #timer: NodeJS.Timeout | null = null;
  #sinceMs = 0;
  #silentTicks = 0;
  /** How its process ended; null for one that a predecessor started: its last line has to do. */
  #exited: Promise<string> | null = null;
  hello: KeeperHello | null = null;
  stats: KeeperStats | null = null;
  /** Times that it was found gone while it should have been there. */
  restarts = 0;

  constructor(input: {
    pins: string;
    path: string;
    log: Log;
    /** Of its own loopback connections nobody is to be told. */
    exempt: (pid: number, replaced: number | null) => void;
    handlers: KeeperHandlers;
  }) {
    this.#pins = input.pins;
    this.#path = input.path;
    this.#log = input.log;
    this.#handlers = input.handlers;
    this.#exempt = input.exempt;
  }

  get running(): boolean {
    return this.#socket !== null;
  }

  /** Finds the one that a predecessor left, or starts one. The pins must be there. */
  async start(): Promise<void> {
    const left = existsSync(this.#path) ? await open(this.#path) : null;
    if (left) this.#exited = null;
    this.#use(left ?? (await this.#spawn()));
  }

  /** Before anybody is judged by the version: the keeper needs its rules when the first statement comes. */
  setRules(version: number, table: KeeperTable): void {
    this.#tables.set(version, table);
    this.#write(rulesFrame(version, table));
  }

  dropRules(version: number): void {
    if (this.#tables.delete(version)) this.#write(dropRulesFrame(version));
  }

  setPolicy(policy: Buffer): void {
    if (this.#policy?.equals(policy)) return;
    this.#policy = policy;
    this.#write(policy);
  }

  /** `deny` is the rule that the client's error names; null lets the statement go. */
  answer(hold: bigint, deny: string | null): void {
    this.#write(answerFrame(hold, deny));
  }

  /** Each second. */
  tick(): void {
    if (!this.#socket || this.#pid === null) return;
    this.#silentTicks += 1;
    if (this.#silentTicks !== SILENT_TICKS_MAX) return;
    this.#log.error({ pid: this.#pid }, "the keeper is silent: it is ended, and another one started");
    try {
      process.kill(this.#pid, "SIGKILL");
    } catch {
      // It ended by itself: its connection says so next.
    }
  }

  /** Leaves it running, for a successor. */
  leave(): void {
    this.#end();
  }

  /** What is held goes where it was going, then the keeper ends. */
  async retire(): Promise<void> {
    const socket = this.#socket;
    this.#end(false);
    if (!socket) return;
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, RETIRE_MS);
      socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      socket.write(retireFrame());
    });
    socket.destroy();
    rmSync(this.#path, { force: true });
    rmSync(`${this.#path}.lock`, { force: true });
    rmSync(this.#wordsPath, { force: true });
  }

  #end(close = true): void {
    this.#stopping = true;
    if (this.#timer) clearTimeout(this.#timer);
    if (close) this.#socket?.destroy();
    this.#socket = null;
  }

  get #wordsPath(): string {
    return `${this.#path}.log`;
  }

  #lastWords(): string {
    try {
      return readFileSync(this.#wordsPath, "utf8").trim().split("\n").at(-1)!.slice(0, 500);
    } catch {
      return "";
    }
  }

  async #spawn(): Promise<Socket> {
    // A file and no pipe: it outlives this process, and a successor reads there why the keeper ended.
    const words = openSync(this.#wordsPath, "w", 0o600);
    const child = spawn(BINARY, [this.#pins, this.#path], {
      // Of its own session: what ends the agent must not end what it holds.
      detached: true,
      stdio: ["pipe", "pipe", words],
      env: {},
    });
    closeSync(words);
    child.stdin!.on("error", () => {});
    if (child.pid !== undefined) this.#own(child.pid);
    child.stdin!.end("\n");
    this.#exited = new Promise(resolve =>
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`)),
    );
    try {
      await ready(child, this.#exited);
    } catch (error) {
      throw new Error(`the keeper did not start: ${this.#lastWords() || (error as Error).message}`);
    }
    child.unref();
    const socket = await open(this.#path);
    if (!socket) throw new Error(`the keeper does not listen on ${this.#path}`);
    return socket;
  }

  #use(socket: Socket): void {
    if (this.#stopping) {
      socket.destroy();
      return;
    }
    const reader = new FrameReader();
    this.#socket = socket;
    this.#sinceMs = performance.now();
    this.#silentTicks = 0;
    socket.on("data", chunk => {
      try {
        for (const message of reader.feed(chunk)) this.#read(message);
      } catch (error) {
        this.#log.error({ error: String(error) }, "the keeper says what this agent does not understand");
        socket.destroy();
      }
    });
    socket.on("error", () => {});
    socket.on("close", () => this.#lost(socket));
    for (const [version, table] of this.#tables) this.#write(rulesFrame(version, table));
    if (this.#policy) this.#write(this.#policy);
  }

  #read(message: ReturnType<FrameReader["feed"]> extends Generator<infer M> ? M : never): void {
    switch (message.kind) {
      case "hello":
        this.hello = message.hello;
        // Of one that a predecessor started, too.
        this.#own(message.hello.pid);
        if (message.hello.severed + message.hello.notSevered > 0)
          this.#log.warn(
            { ended: message.hello.severed, left: message.hello.notSevered },
            "connections whose statements an earlier keeper held and lost were ended",
          );
        break;
      case "held":
        this.#handlers.held(message.held);
        break;
      case "result":
        this.#handlers.result(message.result);
        break;
      case "stats":
        this.stats = message.stats;
        this.#silentTicks = 0;
        break;
    }
  }

  #own(pid: number): void {
    if (pid === this.#pid) return;
    this.#exempt(pid, this.#pid);
    this.#pid = pid;
  }

  #lost(socket: Socket): void {
    if (this.#socket !== socket || this.#stopping) return;
    this.#socket = null;
    this.restarts += 1;
    if (performance.now() - this.#sinceMs > SETTLED_MS) this.#pauseMs = PAUSE_FIRST_MS;
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    const said = this.#lastWords();
    const pid = this.#pid;
    Promise.race([this.#exited, new Promise<null>(resolve => setTimeout(resolve, EXIT_MS, null))]).then(
      ended =>
        this.#log.error(
          { pid, ended, said, pauseMs },
          "the keeper is gone: nothing is held until it is back",
        ),
    );
    this.#again(pauseMs);
  }

  #again(pauseMs: number): void {
    this.#timer = setTimeout(() => {
      this.start().catch(error => {
        this.#log.error({ error: String(error) }, "the keeper could not be started");
        this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MAX_MS);
        if (!this.#stopping) this.#again(this.#pauseMs);
      });
    }, pauseMs);
  }

  #write(frame: Buffer): void {
    this.#socket?.write(frame);
  }
}

/** Null where nobody listens. */
function open(path: string): Promise<Socket | null> {
  return new Promise(resolve => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", () => resolve(null));
  });
}

/** It says one line once it listens. */
function ready(child: ChildProcess, exited: Promise<string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new Error(why));
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail("no answer");
    }, READY_MS);
    child.once("error", error => fail(error.message));
    exited.then(fail);
    child.stdout!.once("data", () => {
      clearTimeout(timer);
      // Nobody reads it any more; a closed pipe does not end the keeper, and it writes there no longer either.
      child.stdout!.destroy();
      resolve();
    });
  });
}
