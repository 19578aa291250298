/** Enters every shape's SHA-256; changes whenever a shape's text may (docs/fingerprint.md). */
export const SHAPE_ALGORITHM = "picket-shape-1";
