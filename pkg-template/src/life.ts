/** Whether this thread's wasm instance lives. A panic or too little memory ends it in the middle of a call, which then never answers by itself. */

import { UmedsamError } from "./errors.js";
import { __wbg_reset_state, onCrash } from "./wasm/umedsam.js";

/** One instance, from its start to its crash. */
export interface Life {
  /** Why it ended, if it did. */
  error?: UmedsamError;
  /** Rejects when it ends. */
  readonly crash: Promise<never>;
}

let end: (error: UmedsamError) => void = () => {};
let current: Life = newLife();
let isWatching = false;
let hasLived = false;

function newLife(): Life {
  const crash = new Promise<never>((_, reject) => {
    end = reject;
  });
  // Nobody may be waiting.
  crash.catch(() => {});
  return { crash };
}

/** The instance in use. */
export function life(): Life {
  return current;
}

/** Begins to watch a new instance; after a crash it is made first. */
export function renew(): void {
  if (current.error !== undefined) {
    if (hasLived) restart();
    current = newLife();
  }
  hasLived = true;
  onCrash(died);
  if (isWatching) return;
  isWatching = true;
  const isTrap = (cause: unknown): cause is Error => cause instanceof WebAssembly.RuntimeError;
  // Traps without a panic, such as too little memory, in an asynchronous call.
  globalThis.addEventListener?.("error", (event) => {
    const { error } = event as ErrorEvent;
    if (!isTrap(error)) return;
    // Else a page would hear of its worker's failure before the calls are answered.
    event.preventDefault();
    died(error.message);
  });
  globalThis.addEventListener?.("unhandledrejection", (event) => {
    const { reason } = event as PromiseRejectionEvent;
    if (!isTrap(reason)) return;
    event.preventDefault();
    died(reason.message);
  });
}

/** Chromium makes instances of modules up to 8 MB at once on a page's thread; ours is smaller, but for the build that the tests use. */
function restart(): void {
  try {
    __wbg_reset_state();
  } catch (cause) {
    throw new UmedsamError("crashed", "the crashed WebAssembly instance cannot be made anew on this thread; use a worker, or open the page again", {
      cause,
    });
  }
}

function died(message: string): void {
  if (current.error !== undefined) return;
  current.error = new UmedsamError("crashed", `the WebAssembly instance crashed (${message.split("\n")[0] ?? ""}); load the model again`);
  end(current.error);
}
