/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * Checks that run inside the page, each without what is outside of it. They look for what people meet: controls
 * without a name, text too faint to read, a page without a heading, a page that scrolls sideways.
 */

export function unnamedControls(): string[] {
  const controls = "a[href], button, input, select, textarea, summary, [role=button], [tabindex='0']";
  const textOf = (id: string) => document.getElementById(id)?.textContent?.trim() ?? "";
  const nameOf = (element: Element): string => {
    const labelledBy = element.getAttribute("aria-labelledby");
    if (labelledBy) return labelledBy.split(/\s+/).map(textOf).join(" ");
    const label = element.getAttribute("aria-label");
    if (label) return label;
    const labels = "labels" in element ? (element as HTMLInputElement).labels : null;
    const labelText = [...(labels ?? [])].map(each => each.textContent?.trim()).join(" ");
    return labelText || element.textContent?.trim() || "";
  };
  return [...document.querySelectorAll(controls)]
    .filter(element => element.checkVisibility() && nameOf(element) === "")
    .map(element => element.outerHTML.slice(0, 120));
}

export function structure(): string[] {
  const wrong: string[] = [];
  const count = (selector: string) => document.querySelectorAll(selector).length;
  if (count("h1") !== 1) wrong.push(`${count("h1")} first headings`);
  if (count("main") !== 1) wrong.push(`${count("main")} main landmarks`);
  if (!document.documentElement.lang) wrong.push("no language");
  if (!document.title.endsWith("Picket")) wrong.push(`titled ${document.title}`);
  const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
  for (const id of new Set(ids))
    if (ids.filter(each => each === id).length > 1) wrong.push(`id twice: ${id}`);
  for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby], [aria-controls]"))
    for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls"])
      for (const id of element.getAttribute(attribute)?.split(/\s+/) ?? [])
        if (!document.getElementById(id)) wrong.push(`${attribute} of nothing: ${id}`);
  let level = 1;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(heading.tagName.slice(1));
    if (next > level + 1) wrong.push(`heading ${next} after ${level}: ${heading.textContent}`);
    level = next;
  }
  for (const list of document.querySelectorAll("ul, ol"))
    for (const child of list.children) if (child.tagName !== "LI") wrong.push(`${child.tagName} in a list`);
  for (const table of document.querySelectorAll("table"))
    if (table.tHead && table.querySelectorAll("th").length === 0)
      wrong.push("a table head without header cells");
  return wrong;
}

/** How far the page is wider than its window. */
export function overflow(): number {
  return Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/**
 * WCAG 2.2, 1.4.3: each visible text against what is really behind it, translucent layers composed. Colours are
 * read back from a canvas, since computed styles may use any colour space.
 */
export function faintTexts(): string[] {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return ["no canvas"];
  type Rgba = [number, number, number, number];
  const read = (colour: string): Rgba => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data as unknown as Rgba;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a]: Rgba, [R, G, B]: Rgba): Rgba => [
    r * a + R * (1 - a),
    g * a + G * (1 - a),
    b * a + B * (1 - a),
    1,
  ];
  const behind = (element: Element | null): Rgba => {
    if (!element) return [255, 255, 255, 1];
    const colour = read(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour : over(colour, behind(element.parentElement));
  };
  const luminance = ([r, g, b]: Rgba): number => {
    const linear = (value: number) => {
      const v = value / 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const faint = new Map<string, string>();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!element || !node.nodeValue?.trim() || !element.checkVisibility()) continue;
    if (element.closest(".sr-only, :disabled, noscript, script")) continue;
    const style = getComputedStyle(element);
    const background = behind(element);
    const text = over(read(style.color), background);
    const [light, dark] = [luminance(text), luminance(background)].sort((a, b) => b - a) as [number, number];
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio >= (large ? 3 : 4.5)) continue;
    faint.set(
      `${style.color} ${element.className}`,
      `${ratio.toFixed(2)}: ${node.nodeValue.trim().slice(0, 60)}`,
    );
  }
  return [...faint.values()];
}

/** The focused control, and whether one sees that it is. */
export function focused(): { name: string; visible: boolean } {
  const element = document.activeElement;
  if (!element || element === document.body) return { name: "", visible: true };
  // A hidden radio button shows its focus on its label.
  const shown = [element, element.closest("label")].filter(each => each !== null);
  return {
    name: (element.getAttribute("aria-label") ?? element.textContent ?? "").trim() || element.tagName,
    visible: shown.some(each => {
      const style = getComputedStyle(each);
      return style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2;
    }),
  };
}

export function runningAnimations(): number {
  return document.getAnimations().filter(each => each.playState === "running").length;
}
