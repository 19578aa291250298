/**
 * Single sign-on as a browser does it: the provider is another site, so that SameSite, the content security policy and
 * redirects between sites are the browser's own word.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type IdentityProvider,
  startIdentityProvider,
} from "../../services/control-plane/test/identity-provider.ts";
import { type Browser, hasChromium, openBrowser } from "./chromium.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";

/** Who is signed in, asked before anybody is. */
const expected = (text: string) =>
  /^Failed to load resource: the server responded with a status of 401/.test(text);

describe.skipIf(!hasChromium)("single sign-on in a browser", () => {
  const dir = mkdtempSync(join(tmpdir(), "picket-sso-"));
  let idp: IdentityProvider;
  let plane: ControlPlane;
  let browser: Browser;

  beforeAll(async () => {
    const access = join(dir, "access.json");
    writeFileSync(
      access,
      JSON.stringify([{ claim: "groups", value: "shop", role: "operator", scope: { team: "shop" } }]),
    );
    [plane, browser] = await Promise.all([
      startControlPlane(async url => {
        idp = await startIdentityProvider(`${url}/v1/sso/callback`, "localhost");
        return {
          PICKET_PUBLIC_URL: url,
          PICKET_OIDC_ISSUER: idp.issuer,
          PICKET_OIDC_CLIENT_ID: idp.clientId,
          PICKET_OIDC_CLIENT_SECRET: idp.clientSecret,
          PICKET_OIDC_ACCESS: access,
        };
      }),
      openBrowser({ expected }),
    ]);
    idp.accounts.set("anna", {
      claims: { email: "anna@example.com", email_verified: true, groups: ["shop"] },
    });
    idp.accounts.set("nobody", { claims: {} });
  });
  afterAll(async () => {
    await browser?.close();
    await plane?.stop();
    await idp?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test("who has no role reads why; who has one lands on the page that was asked for, and signs out again", async () => {
    const page = await browser.context.newPage();
    page.setDefaultTimeout(30_000);
    const link = page.getByRole("link", { name: "Sign in with single sign-on" });

    idp.person = "nobody";
    await page.goto(`${plane.url}/alerts`);
    await link.click();
    await page.getByText("nothing here gives you a role").waitFor();

    await browser.context.clearCookies();
    idp.person = "anna";
    await page.goto(`${plane.url}/alerts`);
    await link.click();
    await page.getByRole("heading", { level: 1, name: "Alerts" }).waitFor();
    await page.getByText("sso:anna@example.com").waitFor();
    const cookie = (await browser.context.cookies(plane.url)).find(({ name }) => name === "picket_session");
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict" });

    // Another call may find the session ended, and show the sign-in page, before the answer takes the cookie away.
    const ended = page.waitForResponse(response => response.request().method() === "DELETE");
    await page.getByRole("button", { name: "Sign out" }).click();
    await Promise.all([ended, link.waitFor()]);
    expect((await browser.context.cookies(plane.url)).map(({ name }) => name)).not.toContain(
      "picket_session",
    );
    expect(browser.complaints).toEqual([]);
  });
});
