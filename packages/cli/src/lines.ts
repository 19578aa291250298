/**
 * Splits a byte stream into numbered lines, in batches as they arrive: whatever is complete is handed on at
 * once. A line beyond the bound is skipped to its end and reported, so that memory stays bounded.
 */
export type Line = { number: number; bytes: Buffer | null };

const BATCH_BYTES_MAX = 1024 * 1024;

export async function* lines(source: AsyncIterable<Buffer>, lineBytesMax: number): AsyncGenerator<Line[]> {
  let parts: Buffer[] = [];
  let held = 0;
  let overlong = false;
  let number = 0;
  const finish = (last: Buffer): Line => {
    number += 1;
    const line: Line =
      overlong || held + last.length > lineBytesMax
        ? { number, bytes: null }
        : { number, bytes: parts.length === 0 ? last : Buffer.concat([...parts, last]) };
    parts = [];
    held = 0;
    overlong = false;
    return line;
  };
  for await (const chunk of source) {
    let batch: Line[] = [];
    let bytes = 0;
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = finish(chunk.subarray(start, end));
      batch.push(line);
      bytes += line.bytes?.length ?? 0;
      start = end + 1;
      if (bytes > BATCH_BYTES_MAX) {
        yield batch;
        batch = [];
        bytes = 0;
      }
    }
    if (batch.length > 0) yield batch;
    const rest = chunk.subarray(start);
    if (rest.length === 0) continue;
    held += rest.length;
    if (held > lineBytesMax) {
      overlong = true;
      parts = [];
    } else parts.push(rest);
  }
  if (held > 0) yield [finish(Buffer.alloc(0))];
}
