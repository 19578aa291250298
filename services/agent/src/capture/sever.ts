/** Ends a connection that was denied after some of its statement had left: the send itself already failed. */
import { type BpfObject, destroySocket, u8, u64 } from "@picket/native/bpf";
import { walk } from "./adopt.ts";
import type { ConnectionEvent } from "./kernel-event.ts";

export type Severed = "destroyed" | "gone" | "only-refused";

/**
 * SOCK_DIAG first: it goes to the one socket. Where the kernel lacks it, the iterator finds the socket by its
 * cookie. Where it has neither, the application still cannot send on it (SK_DROP is sticky).
 */
export function sever(
  object: BpfObject,
  { cookie, endpoints }: Pick<ConnectionEvent, "cookie" | "endpoints">,
): Severed {
  try {
    return destroySocket({ cookie, ...endpoints }) ? "destroyed" : severByWalk(object, cookie);
  } catch {
    return severByWalk(object, cookie);
  }
}

function severByWalk(object: BpfObject, cookie: bigint): Severed {
  const condemned = object.map("condemned").as({ key: u64, value: u8 });
  try {
    condemned.set(cookie, 0);
    walk(object, "sever");
    const done = condemned.take(cookie);
    return done === 1 ? "destroyed" : "only-refused";
  } finally {
    condemned.close();
  }
}
