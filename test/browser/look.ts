/** A person at the console: signs in, and looks at a page as people do: dark and light, wide and narrow, for what is
 * too faint, without a name, out of structure or wider than the window. */
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { Browser } from "./chromium.ts";
import { faintTexts, overflow, structure, unnamedControls } from "./in-page.ts";

/** Where pictures go, for the documents and for eyes; none by default. */
export const pictures = process.env.PICKET_PICTURES;

export async function signedIn({ context }: Browser, url: string, token: string): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(url);
  await become(page, token);
  return page;
}

/** Whoever is signed in signs out first. */
export async function become(page: Page, token: string): Promise<void> {
  const field = page.getByLabel("API token", { exact: true });
  const out = page.getByRole("button", { name: "Sign out" });
  await field.or(out).waitFor();
  if (await out.isVisible()) await out.click();
  await field.fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await out.waitFor();
}

export async function lookAt(
  page: Page,
  name: string,
  url: string,
  prepare: () => Promise<void> = async () => undefined,
): Promise<void> {
  for (const scheme of ["dark", "light"] as const)
    for (const width of [1_440, 360]) {
      await page.setViewportSize({ width, height: width === 360 ? 740 : 1_000 });
      await page.emulateMedia({ colorScheme: scheme });
      await page.goto(url);
      await page.locator("h1").waitFor();
      await prepare();
      await page.waitForTimeout(300);
      expect(await page.evaluate(overflow)).toBeLessThanOrEqual(0);
      expect(await page.evaluate(faintTexts)).toEqual([]);
      expect(await page.evaluate(unnamedControls)).toEqual([]);
      expect(await page.evaluate(structure)).toEqual([]);
      if (pictures)
        await page.screenshot({ path: join(pictures, `${name}-${scheme}-${width}.png`), fullPage: true });
    }
  await page.setViewportSize({ width: 1_440, height: 900 });
}

/** A page of hundreds of rows, where measuring each text would take minutes: what one sees first, and its width. */
export async function lookAtTop(
  page: Page,
  name: string,
  url: string,
  prepare: () => Promise<void>,
): Promise<void> {
  for (const width of [1_440, 390]) {
    await page.setViewportSize({ width, height: width === 390 ? 844 : 900 });
    await page.goto(url);
    await prepare();
    expect(await page.evaluate(overflow)).toBeLessThanOrEqual(0);
    expect(await page.evaluate(unnamedControls)).toEqual([]);
    if (pictures) await page.screenshot({ path: join(pictures, `${name}-${width}.png`) });
  }
  await page.setViewportSize({ width: 1_440, height: 900 });
}
