/** What kind of thing went wrong. */
export type ErrorCode =
  | "invalid-image"
  | "invalid-window"
  | "invalid-box"
  | "invalid-prompt"
  | "invalid-option"
  | "invalid-weights"
  | "fetch-failed"
  | "device-unavailable"
  | "device-lost"
  | "computation-failed"
  | "disposed"
  | "aborted"
  | "worker-failed"
  | "crashed";

/** Every error of this package: a stable code for programs, a message for people that names the bad value and the fix. */
export class UmedsamError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "UmedsamError";
    this.code = code;
  }
}

/** An error as it crosses from a worker. */
export interface ErrorMessage {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Whatever was thrown, as one of our errors. */
export function toUmedsamError(cause: unknown): UmedsamError {
  if (cause instanceof UmedsamError) return cause;
  if (cause instanceof WebAssembly.RuntimeError) {
    return new UmedsamError("crashed", `the WebAssembly instance crashed (${cause.message}); load the model again`, { cause });
  }
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") {
    return new UmedsamError(cause.code as ErrorCode, cause.message, { cause });
  }
  return new UmedsamError("worker-failed", cause instanceof Error ? cause.message : String(cause), { cause });
}

/** The error of an aborted call: named as the platform's, with the signal's reason as its cause. */
export function abortedError(what: string, signal?: AbortSignal): UmedsamError {
  const error = new UmedsamError("aborted", `${what} was aborted`, { cause: signal?.reason });
  error.name = "AbortError";
  return error;
}
