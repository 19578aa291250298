import { Command } from "../../ui/command.tsx";

/** How a host becomes a node, with this page's own address. */
export function Enrol() {
  return (
    <>
      <p>
        Make a join token, then enrol a host with it; the host asks for the token. An enrolled node observes:
        it blocks nothing until it is told to.
      </p>
      <Command>picket tokens create</Command>
      <Command>{`sudo picket agent join ${location.origin}`}</Command>
    </>
  );
}
