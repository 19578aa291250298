/** The node's hash secret: drawn at start, known to the kernel and this process, kept in memory-backed /run only for a
 * successor that takes over what was hashed with it. Never logged, never sent. */
import { type HashKey, randomHashKey } from "@picket/native/lexer";

export function drawSecrets(): HashKey {
  return randomHashKey();
}

export function readSecrets({ hashKey, hashStart }: { hashKey: string; hashStart: string }): HashKey {
  return { key: BigInt(`0x${hashKey}`), start: BigInt(`0x${hashStart}`) };
}
