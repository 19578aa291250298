/**
 * A real keeper as a child process, and the agent's end of its control socket: rules and policy go down, what is held
 * comes up. What ships, from packages/native/build.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Action,
  type Answer,
  type Consult,
  KeeperAnswer,
  KeeperFrame,
  type KeeperHeld,
  KeeperHeldView,
  KeeperHello,
  KeeperKind,
  KeeperPolicy,
  KeeperResult,
  KeeperRule,
  KeeperRules,
  type OnFailure,
} from "@picket/native/events";
import { compileTokenRules } from "@picket/native/lexer";

const BINARY = fileURLToPath(new URL("../../packages/native/build/Release/picket-keeper", import.meta.url));

export type Held = KeeperHeld & { sql: string };

export type Keeper = {
  readonly process: ChildProcess;
  readonly hello: KeeperHello;
  readonly held: readonly Held[];
  readonly results: readonly KeeperResult[];
  rules(version: number, rules: readonly { id: string; pattern: string; action: Action }[]): void;
  policy(policy: { deadlineMs?: number; consult?: Consult; onFailure?: OnFailure; failMask?: number }): void;
  answer(hold: bigint, answer: Answer, rule?: string): void;
  /** The statement with this text in it, once it is held. */
  heldWith(part: string): Promise<Held>;
  stop(): Promise<void>;
};

export async function startKeeper(pins: string, pollMs = 2): Promise<Keeper> {
  const folder = mkdtempSync(join(tmpdir(), "picket-keeper-"));
  const path = join(folder, "keeper.sock");
  const child = spawn(BINARY, [pins, path], { stdio: ["ignore", "pipe", "inherit"] });
  await Promise.race([
    once(child.stdout, "data"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`picket-keeper ended with ${code}`))),
  ]);
  const socket = connect(path);
  const held: Held[] = [];
  const results: KeeperResult[] = [];
  let hello: KeeperHello | undefined;
  readFrames(socket, (kind, payload) => {
    if (kind === KeeperKind.HELLO) hello = KeeperHello.decode(payload);
    if (kind === KeeperKind.RESULT) results.push(KeeperResult.decode(payload));
    if (kind !== KeeperKind.HELD) return;
    const told = KeeperHeldView.of(payload).copy();
    held.push({ ...told, sql: Buffer.from(told.text).toString("latin1") });
  });
  socket.on("error", () => {}); // It was killed.
  const send = (kind: KeeperKind, ...parts: Uint8Array[]) => {
    const payload = Buffer.concat(parts);
    socket.write(Buffer.concat([KeeperFrame.encode({ bytes: payload.length, kind }), payload]));
  };
  while (!hello) await new Promise(resolve => setTimeout(resolve, 2));
  return {
    process: child,
    hello,
    held,
    results,
    rules(version, rules) {
      const compiled = compileTokenRules(rules.map(({ id, pattern }) => ({ id, patterns: [pattern] })));
      if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
      const { buffer, byteOffset, byteLength } = compiled.value.table;
      const head = { version, tableBytes: byteLength, rules: rules.length };
      const each = rules.map(({ id, action }) => KeeperRule.encode({ action, text: textOf(id) }));
      send(
        KeeperKind.RULES,
        KeeperRules.encode(head),
        new Uint8Array(buffer, byteOffset, byteLength),
        ...each,
      );
    },
    policy({ deadlineMs = 5_000, consult = 0, onFailure = 0, failMask = 0 }) {
      const policy = {
        deadlineNs: BigInt(deadlineMs) * 1_000_000n,
        stepsMax: 1_000_000n,
        workloads: 0,
        bytesMax: 1n << 28n,
      };
      send(KeeperKind.POLICY, KeeperPolicy.encode({ ...policy, consult, onFailure, failMask }));
    },
    answer(hold, answer, rule = "") {
      send(KeeperKind.ANSWER, KeeperAnswer.encode({ hold, answer, text: textOf(rule) }));
    },
    async heldWith(part) {
      for (let waited = 0; waited < 5_000; waited += pollMs) {
        const found = held.find(({ sql }) => sql.includes(part));
        if (found) return found;
        await new Promise(resolve => setTimeout(resolve, pollMs));
      }
      throw new Error(`no statement with ${part} was held`);
    },
    async stop() {
      // Killed before the socket closes: without an agent it would decide by itself what it still has.
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      }
      socket.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function textOf(text: string) {
  return { bytes: Buffer.byteLength(text), text };
}

function readFrames(socket: Socket, handle: (kind: KeeperKind, payload: Buffer) => void): void {
  let waiting = Buffer.alloc(0);
  socket.on("data", chunk => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= KeeperFrame.size) {
      const { bytes, kind } = KeeperFrame.decode(waiting);
      if (waiting.length < KeeperFrame.size + bytes) return;
      handle(kind, Buffer.from(waiting.subarray(KeeperFrame.size, KeeperFrame.size + bytes)));
      waiting = waiting.subarray(KeeperFrame.size + bytes);
    }
  });
}
