import type { DetectionRow } from "@picket/shared/api";
import type {
  Certificate,
  ConnectionDetection,
  Endpoints,
  HandshakeDetection,
  Process,
  StatementDetection,
} from "@picket/shared/detection";
import { Link } from "@tanstack/react-router";
import { PriorityBadge } from "../../ui/badges.tsx";
import { absolute } from "../../ui/clock.ts";
import { Fact, Facts } from "../../ui/layout.tsx";
import { Sql } from "../../ui/sql.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { outcome } from "./outcome.ts";

const dialectName = { mysql: "MySQL", pg: "PostgreSQL" } as const;
const stageName = {
  kernel: "the kernel, by a verdict it knew",
  "token-rules": "the token rules",
  shape: "a shape that the rules name",
  drift: "what the workload has learned",
  ast: "the parser",
} as const;
const messageName = { query: "query", prepare: "prepare", "function-call": "function call" } as const;

export function DetectionDetails({ row }: { row: DetectionRow }) {
  const { detection } = row;
  return (
    <div className="flex flex-col gap-3 border-t border-line px-2 py-3 @xl:ps-[5.5rem]">
      {detection.kind === "statement" && (
        <>
          <p className="font-semibold">{outcome(detection)}</p>
          <Sql sql={detection.sql} block marks={detection.evidence ?? []} />
          <p className="-mt-2 text-xs text-faint">
            Literals were taken out on the node.{detection.evidence && " What was found is marked."}
          </p>
          <Splice detection={detection} />
        </>
      )}
      <Facts>
        <OfKind row={row} />
        <Fact name="Node">
          <Link to="/nodes/$id" params={{ id: row.node }}>
            {row.hostname}
          </Link>
        </Fact>
        <Fact name="Happened" note={absolute(detection.at)}>
          <Ago at={detection.at} />
        </Fact>
        <Fact name="Received" note={`no. ${row.sequence}`}>
          <Ago at={row.receivedAt} />
        </Fact>
        {detection.priority !== null && (
          <Fact name="Priority">
            <PriorityBadge priority={detection.priority} />
          </Fact>
        )}
        <Fact name="Cause">
          <Foreign>{detection.causalKey}</Foreign>
        </Fact>
      </Facts>
    </div>
  );
}

/** The template that the workload had learned, and what stood there instead. */
function Splice({ detection: { evidence = [] } }: { detection: StatementDetection }) {
  const spliced = evidence.find(({ template }) => template !== undefined);
  if (!spliced?.template) return null;
  const [start, end] = spliced.replaced ?? [0, 0];
  return (
    <div>
      <p className="mb-1 text-sm">
        It was made from this statement, which the workload sends. In the marked place stood
        {spliced.inserted ? (
          <>
            {" "}
            <Sql sql={spliced.inserted} />
          </>
        ) : (
          " nothing"
        )}
        .
      </p>
      <Sql sql={spliced.template} block marks={[{ start, end }]} />
    </div>
  );
}

function OfKind({ row: { detection } }: { row: DetectionRow }) {
  switch (detection.kind) {
    case "statement":
      return <OfStatement detection={detection} />;
    case "connection":
      return <OfConnection detection={detection} />;
    case "handshake":
      return <OfServer detection={detection} handshake="failed" />;
    case "certificate":
      return <OfServer detection={detection} handshake={detection.handshake} />;
  }
}

function OfStatement({ detection }: { detection: StatementDetection }) {
  return (
    <>
      <Fact name="Verdict">{detection.verdict}</Fact>
      <Fact name="Rules">{detection.rules.length === 0 ? "none by name" : detection.rules.join(", ")}</Fact>
      <Fact name="Asked for">{detection.action}</Fact>
      <Fact name="Judged by">{stageName[detection.stage]}</Fact>
      {detection.ruleSet && (
        <Fact name="Rule set">
          {detection.ruleSet} {detection.version !== undefined && `v${detection.version}`}
        </Fact>
      )}
      {detection.danger.length > 0 && <Fact name="It contains">{detection.danger.join(", ")}</Fact>}
      <OfProcess process={detection.process} />
      <OfEndpoints endpoints={detection.endpoints} />
      {detection.user && (
        <Fact name="Database user">
          <Foreign>{detection.user}</Foreign>
        </Fact>
      )}
      {detection.database && (
        <Fact name="Database">
          <Foreign>{detection.database}</Foreign>
        </Fact>
      )}
      <Fact name="Protocol">
        {dialectName[detection.dialect]} {messageName[detection.message]}
      </Fact>
      {detection.shape && (
        <Fact name="Shape">
          <code title={detection.shape}>{detection.shape.slice(0, 16)}</code>
        </Fact>
      )}
    </>
  );
}

function OfConnection({ detection }: { detection: ConnectionDetection }) {
  return (
    <>
      {detection.process && <OfProcess process={detection.process} />}
      {detection.endpoints && <OfEndpoints endpoints={detection.endpoints} />}
    </>
  );
}

function OfProcess({ process }: { process: Process }) {
  return (
    <>
      <Fact name="Process" note={process.executable && <Foreign>{process.executable}</Foreign>}>
        <Foreign>{process.comm}</Foreign> {process.pid}
      </Fact>
      {(process.workload ?? process.cgroup) && (
        <Fact name="Workload">
          <Foreign>{process.workload ?? process.cgroup ?? ""}</Foreign>
        </Fact>
      )}
    </>
  );
}

function OfEndpoints({ endpoints }: { endpoints: Endpoints }) {
  return (
    <Fact name="Connection" note={`from ${endpoints.localAddress}:${endpoints.localPort}`}>
      {endpoints.remoteAddress}:{endpoints.remotePort}
    </Fact>
  );
}

function OfServer({
  detection,
  handshake,
}: {
  detection: Pick<HandshakeDetection, "host" | "port" | "dialect"> & {
    error?: string | undefined;
    certificate?: Certificate | undefined;
  };
  handshake: "succeeded" | "failed";
}) {
  const { certificate, error } = detection;
  return (
    <>
      <Fact name="Server" note={dialectName[detection.dialect]}>
        {detection.host}:{detection.port}
      </Fact>
      <Fact name="Handshake" note={error && <Foreign>{error}</Foreign>}>
        {handshake}
      </Fact>
      {certificate && (
        <>
          <Fact name="Certificate ends" note={absolute(certificate.notAfter)}>
            <Ago at={certificate.notAfter} />
          </Fact>
          <Fact name="Subject">
            <Foreign>{certificate.subject}</Foreign>
          </Fact>
          <Fact name="Issuer">
            <Foreign>{certificate.issuer}</Foreign>
          </Fact>
          <Fact name="Names">
            <Foreign>{certificate.names.join(", ") || "none"}</Foreign>
          </Fact>
        </>
      )}
    </>
  );
}
