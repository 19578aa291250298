/** Server-sent events (WHATWG HTML, 9.2): fields by line, an event at each empty line. */
export type ServerEvent = { event: string; data: string; id: string | null };

/** One event may not grow without bound when a server forgets the empty line. */
const EVENT_CHARACTERS_MAX = 4 * 1024 * 1024;

export async function* serverEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let event = "";
  let data: string[] = [];
  let size = 0;
  let id: string | null = null;
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(rest);
      if (!end) break;
      const line = rest.slice(0, end.index);
      rest = rest.slice(end.index + end[0].length);
      if (line === "") {
        if (data.length > 0) yield { event: event || "message", data: data.join("\n"), id };
        event = "";
        data = [];
        size = 0;
        continue;
      }
      if (line.startsWith(":")) continue;
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") event = value;
      else if (field === "id" && !value.includes("\0")) id = value;
      else if (field === "data") {
        data.push(value);
        size += value.length;
      }
    }
    if (size + rest.length > EVENT_CHARACTERS_MAX) throw new Error("the server sent an event without end");
  }
}
