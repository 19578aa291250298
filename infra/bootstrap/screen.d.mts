export class Failed extends Error {}

export type Step = { progress(text: string): void };

export type Screen = {
  isTTY: boolean;
  step<T>(title: string, work: (step: Step) => Promise<T> | T): Promise<T>;
  note(text: string): void;
  warn(text: string): void;
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  red(text: string): string;
};

export function createScreen(options?: {
  out?: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  isTTY?: boolean;
  now?: () => number;
}): Screen;

export function seconds(ms: number): string;
