/**
 * The node's release keys. They change only by roots that enough of the keys before have signed, one after the other; how
 * far it has come outlives the agent, so nobody can lead it back.
 */
import type { ReleaseKey } from "@picket/shared/bundle-format";
import { followTrust, type Trust } from "@picket/shared/trust";
import type { Log } from "../log.ts";
import { type ControlPlane, explain } from "./control-plane.ts";
import { type Enrolment, writeEnrolment } from "./identity.ts";

export class NodeTrust {
  #enrolment: Enrolment;
  readonly #stateDirectory: string;
  readonly #log: Log;

  constructor(input: { enrolment: Enrolment; stateDirectory: string; log: Log }) {
    this.#enrolment = input.enrolment;
    this.#stateDirectory = input.stateDirectory;
    this.#log = input.log;
  }

  get now(): Trust {
    return { ...this.#enrolment.trust, keys: this.#enrolment.releaseKeys };
  }

  /** Whether the keys changed. */
  async follow(controlPlane: Pick<ControlPlane, "trustAfter">): Promise<boolean> {
    const before = this.now.version;
    const chain = await controlPlane.trustAfter(before);
    if (!chain.ok) {
      this.#log.warn(`release keys: ${explain(chain.error)}`);
      return false;
    }
    for (const envelope of chain.value.items) {
      const followed = followTrust(envelope, this.now);
      if (!followed.ok) {
        this.#log.error(`a root of trust is refused; the keys stay as they are: ${followed.error}`);
        break;
      }
      this.#keep(followed.value);
    }
    return this.now.version > before;
  }

  #keep({ version, threshold, keys }: Trust): void {
    const former = [...this.#enrolment.formerKeys, ...this.#enrolment.releaseKeys];
    this.#enrolment = {
      ...this.#enrolment,
      releaseKeys: keys,
      trust: { version, threshold },
      formerKeys: former.filter((key, i) => isFirst(former, key, i) && !keys.some(isSame(key))),
    };
    writeEnrolment(this.#stateDirectory, this.#enrolment);
    this.#log.info(
      { root: version, threshold, keys: keys.map(({ keyid }) => keyid) },
      "release keys changed",
    );
  }
}

const isSame =
  (one: ReleaseKey) =>
  (other: ReleaseKey): boolean =>
    one.publicKey === other.publicKey;
const isFirst = (keys: readonly ReleaseKey[], key: ReleaseKey, i: number): boolean =>
  keys.findIndex(isSame(key)) === i;
