/** Makes the package's worker, wherever its script is. */

import { UmedsamError } from "./errors.js";

/** How long a worker's script may take to load. */
export const WORKER_DEADLINE_MS = 10_000;
export const WORKER_ADVICE = isPrebundled()
  ? 'Vite\'s development server moved the package away from its worker: add optimizeDeps: { exclude: ["umedsam"] } to the Vite configuration'
  : 'Give load() a worker of your own as worker: () => new Worker(URL of umedsam/worker, { type: "module" }), the place of the ' +
    "package's files as baseUrl, or worker: false to run on this thread";

function isPrebundled(): boolean {
  // Not every bundler's output has an address of its own.
  return (import.meta.url as string | undefined)?.includes("/.vite/deps/") === true;
}

/** The package's worker, or that of a copy of the package's files. */
export function makeWorker(baseUrl: URL | undefined): Worker {
  if (typeof globalThis.Worker !== "function") throw notMade("there are no workers here");
  const make = maker(baseUrl);
  try {
    return make();
  } catch (cause) {
    const script = scriptOf(make);
    // Of its own origin a page can still be refused a script, by its policy. A sandboxed frame has an origin of its own.
    const isForeign = script !== undefined && new URL(script.url).origin !== globalThis.origin;
    if (!isForeign) throw notMade(cause);
    try {
      return importingWorker(script);
    } catch (cause) {
      throw notMade(cause);
    }
  }
}

/**
 * A worker that imports the package's: for pages whose workers' scripts do not have the headers that the page has, such as a
 * Cross-Origin-Embedder-Policy. `undefined` if none can be made.
 */
export function secondWorker(baseUrl: URL | undefined): Worker | undefined {
  const script = scriptOf(maker(baseUrl));
  try {
    return script === undefined || script.url.startsWith("blob:") ? undefined : importingWorker(script);
  } catch {
    return undefined;
  }
}

function maker(baseUrl: URL | undefined): () => Worker {
  return baseUrl === undefined ? bundledWorker : () => new globalThis.Worker(new URL("dist/worker.js", baseUrl), { type: "module" });
}

/** Bundlers find the script by this expression. */
function bundledWorker(): Worker {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "umedsam-worker" });
}

interface Script {
  readonly url: string;
  readonly isModule: boolean;
}

/**
 * A worker of this page's own that imports a script, wherever that is. Sandboxed frames run no module workers, so that the script is imported by a classic one,
 * which keeps what is sent meanwhile.
 */
function importingWorker({ url, isModule }: Script): Worker {
  const address = JSON.stringify(url);
  const source = isModule
    ? `const early = [];
       onmessage = (event) => early.push(event);
       import(${address}).then(() => early.forEach((event) => onmessage(event)), (error) => setTimeout(() => { throw error; }));`
    : `importScripts(${address});`;
  const blob = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  // The worker has begun to fetch it by then.
  setTimeout(() => URL.revokeObjectURL(blob), WORKER_DEADLINE_MS);
  // Turbopack's scripts read there what they are to load.
  return new Worker(`${blob}${new URL(url).hash}`);
}

/** Where the script is: only the expression that makes the worker knows, since bundlers rewrite it. */
function scriptOf(make: () => Worker): Script | undefined {
  let found: Script | undefined;
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
