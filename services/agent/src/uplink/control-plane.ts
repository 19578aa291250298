/**
 * The contract with the control plane, call by call. Answers are parsed before anybody uses them; an expected
 * failure (away, refused, nonsense) is a returned error, since every caller has a plan for it.
 */
import { createHash } from "node:crypto";
import {
  Desired,
  type EnrolRequest,
  EnrolResponse,
  EventBatchResponse,
  type KeyRotation,
  Polled,
  Problem,
  type Report,
  ReportAnswer,
  type ShapeBatch,
  ShapeBatchResponse,
  TrustChain,
} from "@picket/shared/contract";
import type { AssignmentId, BundleDigest, ObjectDigest } from "@picket/shared/ids";
import {
  ClaimBatchResponse,
  SharedVerdictFeed,
  type VerdictAnswer,
  type VerdictClaim,
} from "@picket/shared/immunity";
import { type ProfileOffer, SignedProfileList } from "@picket/shared/profile";
import { err, ok, type Result } from "@picket/shared/result";
import type { TwinReport } from "@picket/shared/twin";
import { z } from "zod";
import type { Log } from "../log.ts";
import { type HttpAnswer, type HttpRequest, sendHttp } from "./http.ts";
import type { TokenSource } from "./identity.ts";

export type UplinkError =
  | { kind: "away"; detail: string }
  | { kind: "refused"; status: number; code: string; detail: string }
  | { kind: "nonsense"; detail: string };

type Answer<T> = Promise<Result<T, UplinkError>>;

/** What an agent may ask; tests stand in for the other end by serving HTTP, not by replacing this. */
export type ControlPlane = ReturnType<typeof connectControlPlane>;

/** One envelope that makes no sense must not hide the others. */
const Feed = SharedVerdictFeed.extend({ items: z.array(z.unknown()).max(200) });

const ANSWER_BYTES_MAX = 4 << 20;
const OBJECT_BYTES_MAX = 8 << 20;

export function connectControlPlane(
  url: string,
  tokens: TokenSource,
  signal: AbortSignal,
  log?: Pick<Log, "warn">,
) {
  async function call(
    request: Omit<HttpRequest, "url" | "timeoutMs" | "answerBytesMax"> & {
      path: string;
      timeoutMs?: number;
      answerBytesMax?: number;
    },
  ): Answer<HttpAnswer> {
    try {
      const { path, ...rest } = request;
      const answer = await sendHttp({
        timeoutMs: 15_000,
        answerBytesMax: ANSWER_BYTES_MAX,
        signal,
        ...rest,
        url: url + path,
        headers: { authorization: `Bearer ${await tokens.token()}` },
      });
      if (answer.status < 300) return ok(answer);
      const aheadMs = answer.status === 401 ? tokens.refusedAt(answer.date) : null;
      if (aheadMs !== null)
        log?.warn({ aheadMs }, "this host's clock is not the control plane's; tokens go by the latter");
      return err(refusal(answer));
    } catch (error) {
      return err({ kind: "away", detail: (error as Error).message });
    }
  }

  return {
    /**
     * Waits at the gateway so many seconds for an assignment, and for shared verdicts after the given one, if any; null
     * when there is neither after the wait.
     */
    async poll(verdicts: number | null, waitS: number): Answer<Polled | null> {
      const answer = await call({
        method: "GET",
        path: `/v1/agent/assignments?wait=${waitS}${verdicts === null ? "" : `&verdicts=${verdicts}`}`,
        timeoutMs: (waitS + 15) * 1_000,
      });
      if (!answer.ok) return answer;
      return answer.value.status === 204 ? ok(null) : parse(answer.value, Polled);
    },

    async acknowledge(id: AssignmentId): Answer<null> {
      const answer = await call({ method: "POST", path: `/v1/agent/assignments/${id}/ack`, body: "{}" });
      return answer.ok ? ok(null) : answer;
    },

    async desired(): Answer<Desired> {
      const answer = await call({ method: "GET", path: "/v1/agent/desired" });
      return answer.ok ? parse(answer.value, Desired) : answer;
    },

    /** Not verified here: the envelope is only what somebody sent. */
    async bundle(digest: BundleDigest): Answer<unknown> {
      const answer = await call({ method: "GET", path: `/v1/agent/bundles/${digest}` });
      return answer.ok ? parse(answer.value, z.unknown()) : answer;
    },

    async object(digest: ObjectDigest): Answer<Buffer> {
      const answer = await call({
        method: "GET",
        path: `/v1/agent/objects/${digest}`,
        answerBytesMax: OBJECT_BYTES_MAX,
      });
      if (!answer.ok) return answer;
      const really = createHash("sha256").update(answer.value.body).digest("hex");
      if (really !== digest)
        return err({ kind: "nonsense", detail: `the object for ${digest} has the digest ${really}` });
      return ok(answer.value.body);
    },

    /** Not verified here. */
    async trustAfter(version: number): Answer<TrustChain> {
      const answer = await call({ method: "GET", path: `/v1/agent/trust?after=${version}` });
      return answer.ok ? parse(answer.value, TrustChain) : answer;
    },

    async rotateKey(rotation: KeyRotation): Answer<null> {
      const answer = await call({ method: "POST", path: "/v1/agent/key", body: JSON.stringify(rotation) });
      return answer.ok ? ok(null) : answer;
    },

    async twin(report: TwinReport): Answer<null> {
      const answer = await call({ method: "POST", path: "/v1/agent/twins", body: JSON.stringify(report) });
      return answer.ok ? ok(null) : answer;
    },

    /** Null: a control plane that says nothing of a pace took it. */
    async report(report: Report): Answer<ReportAnswer | null> {
      const answer = await call({ method: "POST", path: "/v1/agent/report", body: JSON.stringify(report) });
      if (!answer.ok) return answer;
      return answer.value.status === 204 ? ok(null) : parse(answer.value, ReportAnswer);
    },

    /** `body` is the EventBatch as JSON: spooled detections go up as they lie, without a second parse. */
    async events(body: string): Answer<EventBatchResponse> {
      const answer = await call({ method: "POST", path: "/v1/agent/events", body, timeoutMs: 30_000 });
      return answer.ok ? parse(answer.value, EventBatchResponse) : answer;
    },

    async shapes(batch: ShapeBatch): Answer<ShapeBatchResponse> {
      const answer = await call({ method: "POST", path: "/v1/agent/shapes", body: JSON.stringify(batch) });
      return answer.ok ? parse(answer.value, ShapeBatchResponse) : answer;
    },

    async claim(claims: readonly VerdictClaim[]): Answer<ClaimBatchResponse> {
      const body = JSON.stringify({ claims });
      const answer = await call({ method: "POST", path: "/v1/agent/claims", body });
      return answer.ok ? parse(answer.value, ClaimBatchResponse) : answer;
    },

    /** Not verified here: the envelopes are only what somebody sent. */
    async verdicts(after: number): Answer<z.infer<typeof Feed>> {
      const answer = await call({ method: "GET", path: `/v1/agent/verdicts?after=${after}` });
      return answer.ok ? parse(answer.value, Feed) : answer;
    },

    async offerProfile(offer: ProfileOffer): Answer<null> {
      const body = JSON.stringify(offer);
      const answer = await call({ method: "POST", path: "/v1/agent/profiles", body, timeoutMs: 30_000 });
      return answer.ok ? ok(null) : answer;
    },

    async signedProfiles(workloads: readonly string[]): Answer<SignedProfileList> {
      const query = new URLSearchParams({ workloads: JSON.stringify(workloads) });
      const answer = await call({ method: "GET", path: `/v1/agent/profiles?${query}` });
      return answer.ok ? parse(answer.value, SignedProfileList) : answer;
    },

    /** Not verified here. */
    async signedProfile(digest: string): Answer<unknown> {
      const answer = await call({
        method: "GET",
        path: `/v1/agent/profiles/${digest}`,
        answerBytesMax: OBJECT_BYTES_MAX,
      });
      return answer.ok ? parse(answer.value, z.unknown()) : answer;
    },

    async answerVerdicts(answers: readonly VerdictAnswer[]): Answer<null> {
      const body = JSON.stringify({ answers });
      const answer = await call({ method: "POST", path: "/v1/agent/verdicts/answers", body });
      return answer.ok ? ok(null) : answer;
    },
  };
}

export async function enrolWith(url: string, request: EnrolRequest): Answer<EnrolResponse> {
  try {
    const answer = await sendHttp({
      url: `${url}/v1/enrol`,
      method: "POST",
      body: JSON.stringify(request),
      timeoutMs: 15_000,
      answerBytesMax: ANSWER_BYTES_MAX,
    });
    return answer.status < 300 ? parse(answer, EnrolResponse) : err(refusal(answer));
  } catch (error) {
    return err({ kind: "away", detail: (error as Error).message });
  }
}

export function explain(error: UplinkError): string {
  switch (error.kind) {
    case "away":
      return `the control plane cannot be reached: ${error.detail}`;
    case "refused":
      return `the control plane refused (${error.status} ${error.code}): ${error.detail}`;
    case "nonsense":
      return `the control plane's answer makes no sense: ${error.detail}`;
  }
}

function refusal({ status, body }: HttpAnswer): UplinkError {
  const problem = Problem.safeParse(parseJson(body));
  // A proxy's 502 or the API's own 503 says that nobody decided: the same as being away.
  if (status >= 500 || status === 429)
    return { kind: "away", detail: problem.success ? problem.data.title : `status ${status}` };
  return problem.success
    ? { kind: "refused", status, code: problem.data.code, detail: problem.data.detail ?? problem.data.title }
    : { kind: "refused", status, code: "unknown", detail: body.toString("utf8", 0, 200) };
}

function parse<T extends z.ZodType>({ body }: HttpAnswer, schema: T): Result<z.infer<T>, UplinkError> {
  const parsed = schema.safeParse(parseJson(body));
  return parsed.success ? ok(parsed.data) : err({ kind: "nonsense", detail: z.prettifyError(parsed.error) });
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** The EventBatch of spooled payloads, each of them one Detection in JSON. */
export function eventBatchBody(payloads: readonly Buffer[]): string {
  return `{"events":[${payloads.map(payload => payload.toString("utf8")).join(",")}]}`;
}
