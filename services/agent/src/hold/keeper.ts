/**
 * The keeper as the agent has it: a process of its own (packages/native/src/keeper) that owns what is held, so that
 * a pause or a crash of this one loses no query. It is started detached, found again by a successor over its socket,
 * and told to retire when the agent stops. Whenever it is away the kernel does not hold, and what the rule version
 * declares for that case holds; it is started again with a growing pause.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
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
  }

  #end(close = true): void {
    this.#stopping = true;
    if (this.#timer) clearTimeout(this.#timer);
    if (close) this.#socket?.destroy();
    this.#socket = null;
  }

  async #spawn(): Promise<Socket> {
    const child = spawn(BINARY, [this.#pins, this.#path], {
      // Of its own session: what ends the agent must not end what it holds.
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: {},
    });
    child.stdin!.on("error", () => {});
    if (child.pid !== undefined) this.#own(child.pid);
    child.stdin!.end("\n");
    await ready(child);
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
        this.#pauseMs = PAUSE_FIRST_MS;
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
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    this.#log.error({ pauseMs }, "the keeper is gone: nothing is held until it is back");
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

/** It says one line once it listens; what it says on the other stream is why it does not. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let errors = "";
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new Error(`the keeper did not start: ${(errors || why).trim().slice(0, 500)}`));
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail("no answer");
    }, READY_MS);
    child.stderr!.on("data", chunk => {
      errors = `${errors}${chunk}`.slice(-2_000);
    });
    child.once("error", error => fail(error.message));
    child.once("exit", code => fail(`exit code ${code}`));
    child.stdout!.once("data", () => {
      clearTimeout(timer);
      child.removeAllListeners("exit");
      // Nobody reads these any more; a closed pipe must not end it, so it writes to them no longer either.
      child.stdout!.destroy();
      child.stderr!.destroy();
      resolve();
    });
  });
}
