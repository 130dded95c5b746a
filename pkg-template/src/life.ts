/** Whether this thread's wasm instance lives. A panic or too little memory ends it in the middle of a call, which then never answers by itself. */

import { UmedsamError } from "./errors.js";
import { __wbg_reset_state, onCrash } from "./wasm/umedsam.js";

/** One instance, from its start to its crash. */
export interface Life {
  /** Why it ended, if it did. */
  error?: UmedsamError;
  /** What waits for it, told when it ends. */
  readonly waiting: Set<(error: UmedsamError) => void>;
}

let current: Life = { waiting: new Set() };
let isWatching = false;

/** The instance in use. */
export function life(): Life {
  return current;
}

/**
 * What some work gives, or the crash that ended it. Not a race against one promise for all work: such a promise, which mostly never settles, would keep every
 * result for good.
 */
export function whileAlive<T>({ waiting }: Life, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    waiting.add(reject);
    work.then(resolve, reject).finally(() => waiting.delete(reject));
  });
}

/** Begins to watch a new instance; after a crash it is made first. */
export function renew(): void {
  if (current.error !== undefined) {
    restart();
    current = { waiting: new Set() };
  }
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
  for (const tell of current.waiting) tell(current.error);
  current.waiting.clear();
}
