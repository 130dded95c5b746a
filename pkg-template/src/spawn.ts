/** Makes the package's worker, wherever its script is. */

import { UmedsamError } from "./errors.js";

/** How long a worker's script may take to load. */
export const WORKER_DEADLINE_MS = 10_000;
export const WORKER_ADVICE =
  "Give load() a worker of your own as worker: () => new Worker(URL of umedsam/worker, { type: \"module\" }), the place of the " +
  "package's files as baseUrl, or worker: false to run on this thread";

/** The package's worker, or that of a copy of the package's files. */
export function makeWorker(baseUrl: URL | undefined): Worker {
  const make = baseUrl === undefined ? bundledWorker : () => new globalThis.Worker(new URL("dist/worker.js", baseUrl), { type: "module" });
  try {
    return make();
  } catch (cause) {
    return fromOtherOrigin(make, cause);
  }
}

/** Bundlers find the script by this expression. */
function bundledWorker(): Worker {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "umedsam-worker" });
}

/** Scripts of another origin, such as a CDN's, run in a worker that imports them. */
function fromOtherOrigin(make: () => Worker, cause: unknown): Worker {
  const script = scriptOf(make);
  if (script === undefined || new URL(script.url).origin === globalThis.location?.origin) throw notMade(cause);
  const address = JSON.stringify(script.url);
  const source = script.isModule ? `import ${address};` : `importScripts(${address});`;
  const blob = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return new Worker(blob, script.isModule ? { type: "module" } : {});
  } catch (cause) {
    throw notMade(cause);
  } finally {
    // The worker has begun to fetch it by then.
    setTimeout(() => URL.revokeObjectURL(blob), WORKER_DEADLINE_MS);
  }
}

/** Where the script is: only the expression that makes the worker knows, since bundlers rewrite it. */
function scriptOf(make: () => Worker): { url: string; isModule: boolean } | undefined {
  let found: { url: string; isModule: boolean } | undefined;
  const real = globalThis.Worker;
  const recorder = function (url: string | URL, options?: WorkerOptions) {
    found = { url: new URL(url, globalThis.location?.href).href, isModule: options?.type === "module" };
  };
  try {
    globalThis.Worker = recorder as unknown as typeof Worker;
    make();
  } catch {
    // What it is about is said by the first attempt.
  } finally {
    globalThis.Worker = real;
  }
  return found;
}

/** A worker that the caller makes. */
export function givenWorker(make: () => Worker): Worker {
  let worker: Worker;
  try {
    worker = make();
  } catch (cause) {
    throw notMade(cause);
  }
  if (typeof worker?.postMessage !== "function") {
    throw new UmedsamError("worker-failed", `worker() gave ${String(worker)}, not a Worker`);
  }
  return worker;
}

function notMade(cause: unknown): UmedsamError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new UmedsamError("worker-failed", `the worker could not be made: ${reason.replace(/\.+$/, "")}. ${WORKER_ADVICE}`, { cause });
}
