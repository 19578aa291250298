/** By name, the Debian package that each kernel of the matrix is in. */
export const kernels: Readonly<Record<string, string>>;
export function emulator(): { path: string; env: NodeJS.ProcessEnv; args: string[] };
export function kernelOf(name: string): { image: string; modules: string };
export function busybox(): string;
export function pack(tree: string, archive: string): string;
