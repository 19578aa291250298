/** Debian's chromium with a profile of its own; what a page complains of is kept. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";

const EXECUTABLE = "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const hasChromium = existsSync(EXECUTABLE);

export interface Browser {
  context: BrowserContext;
  /** Script errors, console errors and warnings, and violations of the content security policy, of all pages. */
  complaints: string[];
  close(): Promise<void>;
}

/** `expected` says which complaints a test brings about on purpose: a refused call is one in chromium's eyes. */
export async function openBrowser({ expected }: { expected: (text: string) => boolean }): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "picket-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    headless: true,
    args: FLAGS,
    viewport: { width: 1_440, height: 900 },
  });
  // Chromium does not write every violation to the console.
  await context.addInitScript(
    'document.addEventListener("securitypolicyviolation", e => console.error("CSP", e.violatedDirective, e.blockedURI))',
  );
  const complaints: string[] = [];
  const complain = (page: Page, text: string) => {
    if (!expected(text)) complaints.push(`${new URL(page.url()).pathname}: ${text}`);
  };
  context.on("page", page => {
    page.on("pageerror", error => complain(page, error.message));
    page.on("console", message => {
      if (message.type() === "error" || message.type() === "warning") complain(page, message.text());
    });
  });
  return {
    context,
    complaints,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
