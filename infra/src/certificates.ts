import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// A certificate authority and a certificate with a chosen end, for tests and the demo.

export type Certificate = { ca: string; cert: string; key: string };

/** Renewing (the same `dir` again) keeps the authority and makes a new certificate. */
export function makeCertificate(options: {
  dir: string;
  notAfter: Date;
  name?: string;
  /** What it may be shown as. */
  use?: "server" | "client";
}): Certificate {
  const { dir, notAfter, name = "localhost", use = "server" } = options;
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const files = { ca: join(dir, "ca.pem"), cert: join(dir, "server.pem"), key: join(dir, "server.key") };
  writeFileSync(join(dir, "index.txt"), ""); // Else a second certificate of one name is refused.
  writeFileSync(join(dir, "openssl.cnf"), configuration(name, use));
  const openssl = (...args: string[]): void =>
    void execFileSync("openssl", args, { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  if (!existsSync(files.ca)) {
    const subject = ["-subj", "/CN=Picket test authority", "-days", "3650"];
    openssl("req", "-x509", ...newKey, ...subject, "-keyout", "ca.key", "-out", "ca.pem");
  }
  openssl("req", ...newKey, "-subj", `/CN=${name}`, "-keyout", "server.key", "-out", "server.csr");
  // `openssl ca` is what lets the end lie anywhere, in the past too (`x509 -days` counts whole days from now).
  const start = new Date(Math.min(Date.now(), notAfter.getTime()) - 86_400_000);
  const span = ["-startdate", asn1Time(start), "-enddate", asn1Time(notAfter)];
  openssl(
    "ca",
    "-batch",
    "-notext",
    "-config",
    "openssl.cnf",
    ...span,
    "-in",
    "server.csr",
    "-out",
    "server.pem",
  );
  return files;
}

function configuration(name: string, use: "server" | "client"): string {
  return `[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
rand_serial = yes
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = anything
x509_extensions = certificate
[anything]
commonName = supplied
[certificate]
subjectAltName = DNS:${name},DNS:localhost,IP:127.0.0.1
extendedKeyUsage = ${use}Auth
`;
}

/** YYYYMMDDHHMMSSZ, the form `openssl ca` takes. */
function asn1Time(time: Date): string {
  return `${time.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
}
