/** Whom the agent trusts to be the control plane, and the certificate that it shows where nodes need one. */
import { readFileSync } from "node:fs";
import { createSecureContext, type SecureContextOptions } from "node:tls";

/** Paths of PEM files. `ca`: instead of the authorities that the host trusts; `own`: shown to who asks for it. */
export type TlsFiles = { ca: string | null; own: { cert: string; key: string } | null };

/** What the files hold now. Throws where one cannot be read or certificate and key do not belong together. */
export function readTls({ ca, own }: TlsFiles): SecureContextOptions {
  const options = {
    ...(ca !== null && { ca: readFileSync(ca) }),
    ...(own !== null && { cert: readFileSync(own.cert), key: readFileSync(own.key) }),
  };
  createSecureContext(options);
  return options;
}
