/** Whether this browser runs the network, and on what. */

/** What would run here. */
export interface Support {
  /** Whether `load()` can work. */
  readonly supported: boolean;
  /** What `device: "auto"` would take if its known-answer check passes; `null` if nothing runs. */
  readonly device: "cpu" | "webgpu" | null;
  /** Why, for people. */
  readonly reason: string;
  /** Whether the faster module with relaxed SIMD runs. */
  readonly relaxedSimd: boolean;
}

/** The smallest module with an instruction of relaxed SIMD. */
const RELAXED_SIMD_MODULE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
  ...[10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
);
/** The smallest module with a vector instruction. */
const SIMD_MODULE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11],
);
/** How long an adapter may take to answer. */
const ADAPTER_DEADLINE_MS = 5_000;

/** Whether the engine knows relaxed SIMD. */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED_SIMD_MODULE);
}

/** Why no module can run on this thread, if none can. */
export function obstacle(): string | undefined {
  if (typeof WebAssembly !== "object") return "this browser has no WebAssembly, or it is switched off";
  if (!WebAssembly.validate(SIMD_MODULE)) return "this browser's WebAssembly has no SIMD; it is older than 2021 (Safari: 2023)";
  return undefined;
}

/** Says what would run here and why, without loading anything. */
export async function isSupported(): Promise<Support> {
  const reason = obstacle();
  if (reason !== undefined) return { supported: false, device: null, reason, relaxedSimd: false };
  const adapter = await adapterKind();
  const device = adapter === "real" ? "webgpu" : "cpu";
  const reasons = {
    real: "there is a GPU adapter",
    emulated: "the only GPU adapter is emulated on the CPU",
    none: "there is no GPU adapter",
    silent: "the request for a GPU adapter has no answer",
  };
  return { supported: true, device, reason: reasons[adapter], relaxedSimd: hasRelaxedSimd() };
}

/** As much of WebGPU as is asked for, which not every TypeScript library has. */
interface Gpu {
  requestAdapter(): Promise<{ readonly info?: { readonly isFallbackAdapter?: boolean }; readonly isFallbackAdapter?: boolean } | null>;
}

async function adapterKind(): Promise<"real" | "emulated" | "none" | "silent"> {
  const gpu = (globalThis.navigator as { gpu?: Gpu } | undefined)?.gpu;
  if (gpu === undefined) return "none";
  const silence = new Promise<"silent">((resolve) => setTimeout(resolve, ADAPTER_DEADLINE_MS, "silent"));
  const adapter = await Promise.race([gpu.requestAdapter().catch(() => null), silence]);
  if (adapter === "silent") return "silent";
  if (adapter === null) return "none";
  return (adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter) === true ? "emulated" : "real";
}
