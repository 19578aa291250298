import type { Role } from "@picket/shared/api";
import { Fact, Facts, PageHead, Section } from "../../ui/layout.tsx";
import { Foreign } from "../../ui/text.tsx";
import { LabelList } from "../nodes/versions.tsx";
import { useMe } from "../shell/shell.tsx";
import { OwnPolicies, ShippedPolicies } from "./policy-list.tsx";
import { Tokens } from "./tokens.tsx";

export function Access() {
  return (
    <>
      <PageHead title="Access">
        <p>Who may do what: roles by the shipped policies, within the labels of whoever holds one.</p>
      </PageHead>
      <div className="flex flex-col gap-8">
        <You />
        <Tokens />
        <OwnPolicies />
        <ShippedPolicies />
      </div>
    </>
  );
}

/** As docs/access.md has it. */
const roleMeaning: Record<Role, string> = {
  viewer: "reads",
  operator:
    "reads; starts, approves and stops rollouts; enrols, quarantines and removes nodes; acknowledges alerts",
  approver: "reads; approves, promotes, pauses, aborts and rolls back rollouts, and starts none",
  author: "does what an operator does, and pushes versions that a release key has signed",
  admin: "does what every role does; manages tokens, webhooks, release keys, policies and the audit log",
};

function You() {
  const { name, role, scope } = useMe();
  const held = Object.keys(scope).length > 0;
  return (
    <Section title="You">
      <Facts>
        <Fact name="Name" note={name.startsWith("sso:") ? "single sign-on" : "API token"}>
          <Foreign>{name}</Foreign>
        </Fact>
        <Fact name="Role">{role}</Fact>
        <Fact name="Reach">{held ? <LabelList labels={scope} /> : "the whole fleet"}</Fact>
      </Facts>
      <p className="max-w-[80ch] pt-3 text-sm text-soft">
        As {role} one {roleMeaning[role]}.{" "}
        {held
          ? "You reach only what carries these labels; what concerns the whole fleet is for others."
          : "Nothing is held back from you by labels."}
      </p>
    </Section>
  );
}
