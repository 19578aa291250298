/** Enters every shape's SHA-256; changes whenever a shape's text may (docs/fingerprint.md). */
export const SHAPE_ALGORITHM = "picket-shape-1";
/** Characters; longer shapes are neither reported nor shared. */
export const SHAPE_TEXT_MAX = 4_096;
