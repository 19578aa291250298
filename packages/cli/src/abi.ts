/** PICKET_ABI of packages/bpf/src/event.h; a test holds the two together. */
export const PICKET_ABI = 5;
