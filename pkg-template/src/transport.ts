/** Ways to reach an engine, and the queue in front of it. */

import { watched } from "./callbacks.js";
import { type ErrorMessage, UmedsamError, abortedError, toUmedsamError } from "./errors.js";
import type { Args, Method, RequestMessage, ResponseMessage, Result } from "./protocol.js";
import { WORKER_ADVICE, WORKER_DEADLINE_MS, givenWorker, makeWorker, secondWorker } from "./spawn.js";

interface Transport {
  send<M extends Method>(
    method: M,
    args: Args<M>,
    onProgress: (fraction: number) => void,
    transfer: Transferable[],
  ): Promise<Result<M>>;
  /** Ends what was sent last after its current step, if it is a long call. */
  stop(): void;
  close(): void;
}

/** Workers that run an engine: a second one on the same worker would take the first one's answers. */
const inUse = new WeakSet<Worker>();

/** Sends requests to a worker. */
class WorkerTransport implements Transport {
  readonly #worker: Worker;
  readonly #pending = new Map<
    number,
    { resolve: (value: never) => void; reject: (error: UmedsamError) => void; onProgress: (fraction: number) => void }
  >();
  #nextId = 1;
  #failure: UmedsamError | undefined;
  #hasAnswered = false;

  constructor(worker: Worker) {
    if (inUse.has(worker)) {
      throw new UmedsamError("worker-failed", "this worker already runs a model; give each load a worker of its own");
    }
    inUse.add(worker);
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<ResponseMessage>) => this.#receive(data);
    worker.onmessageerror = () => this.#fail("a message of the worker could not be read");
    worker.onerror = (event) => {
      event.preventDefault();
      const message = event.message || "its script could not be loaded or run";
      this.#fail(this.#hasAnswered ? message : `${message.replace(/\.+$/, "")}. ${WORKER_ADVICE}`);
    };
  }

  send<M extends Method>(
    method: M,
    args: Args<M>,
    onProgress: (fraction: number) => void,
    transfer: Transferable[],
  ): Promise<Result<M>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ id, method, args } as RequestMessage, transfer);
    });
  }

  stop(): void {
    this.send("stop", { id: this.#nextId - 1 }, () => {}, []).catch(() => {});
  }

  close(): void {
    this.#worker.terminate();
    this.#reject({ code: "disposed", message: "the model was disposed of; load it again" });
  }

  #receive(message: ResponseMessage): void {
    this.#hasAnswered = true;
    const call = this.#pending.get(message.id);
    if (call === undefined) return;
    if (message.kind === "progress") {
      call.onProgress(message.fraction);
      return;
    }
    this.#pending.delete(message.id);
    if (message.kind === "result") call.resolve(message.value as never);
    else call.reject(new UmedsamError(message.error.code, message.error.message));
  }

  #fail(reason: string): void {
    this.#worker.terminate();
    this.#reject({ code: "worker-failed", message: `the worker failed: ${reason}` });
  }

  #reject({ code, message }: ErrorMessage): void {
    this.#failure ??= new UmedsamError(code, message);
    for (const { reject } of this.#pending.values()) reject(this.#failure);
    this.#pending.clear();
  }
}

/** Runs requests on this thread; the wasm library is only loaded when it is first needed. */
class InlineTransport implements Transport {
  readonly #engine = import("./engine.js").then(({ Engine }) => new Engine());
  #nextId = 1;

  async send<M extends Method>(
    method: M,
    args: Args<M>,
    onProgress: (fraction: number) => void,
  ): Promise<Result<M>> {
    const id = this.#nextId++;
    const engine = await this.#engine;
    return engine.handle(id, method, args, onProgress);
  }

  stop(): void {
    void this.send("stop", { id: this.#nextId - 1 }, () => {});
  }

  close(): void {
    void this.send("disposeModel", null, () => {});
  }
}

export interface CallOptions<M extends Method> {
  readonly what: string;
  /** Gets the result of a call that was aborted while it ran. */
  readonly onDropped?: (result: Result<M>) => void;
  readonly onProgress?: ((fraction: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly transfer?: Transferable[] | undefined;
}

/** One call at a time, in the order they were made; a call can be aborted while it waits. */
export class Connection {
  #transport: Transport;
  /** Another way to make the worker, if the first does not lead to one that runs. */
  #second: (() => Worker | undefined) | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed: UmedsamError | undefined;

  constructor(worker: boolean | (() => Worker), baseUrl: URL | undefined) {
    if (worker === true) this.#second = () => secondWorker(baseUrl);
    if (worker === false) {
      this.#transport = new InlineTransport();
    } else {
      this.#transport = new WorkerTransport(worker === true ? makeWorker(baseUrl) : givenWorker(worker));
    }
  }

  /** Waits until the worker's script runs, for some seconds. */
  async greet(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#hello(signal);
    } catch (first) {
      const worker = (first as UmedsamError).code === "worker-failed" ? this.#second?.() : undefined;
      if (worker === undefined) throw first;
      this.#second = undefined;
      this.#transport = new WorkerTransport(worker);
      await this.#hello(signal).catch(() => {
        throw first;
      });
    }
  }

  async #hello(signal: AbortSignal | undefined): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<never>((_, reject) => {
      const seconds = WORKER_DEADLINE_MS / 1000;
      const message = `the worker does not answer within ${seconds} s: it does not run this package's worker.js. ${WORKER_ADVICE}`;
      timer = setTimeout(() => reject(new UmedsamError("worker-failed", message)), WORKER_DEADLINE_MS);
    });
    try {
      await Promise.race([this.call("hello", null, { what: "loading", signal }), silence]);
    } finally {
      clearTimeout(timer);
    }
  }

  call<M extends Method>(method: M, args: Args<M>, options: CallOptions<M>): Promise<Result<M>> {
    const { what, onDropped, onProgress = () => {}, signal, transfer = [] } = options;
    const run = async (): Promise<Result<M>> => {
      if (signal?.aborted) throw abortedError(what, signal);
      if (this.#closed !== undefined) throw this.#closed;
      const stop = () => this.#transport.stop();
      const { callback, check } = watched(onProgress, stop);
      let result: Result<M>;
      try {
        const answer = this.#transport.send(method, args, callback, transfer);
        signal?.addEventListener("abort", stop, { once: true });
        result = await answer;
      } catch (cause) {
        check();
        const error = toUmedsamError(cause);
        if (error.code === "crashed") this.#closed = error;
        throw error;
      } finally {
        signal?.removeEventListener("abort", stop);
      }
      try {
        check();
      } catch (error) {
        onDropped?.(result);
        throw error;
      }
      return result;
    };
    const result = this.#last.then(run, run);
    this.#last = result.catch(() => {});
    if (signal === undefined) return result;
    return new Promise((resolve, reject) => {
      const abort = () => {
        reject(abortedError(what, signal));
        if (onDropped !== undefined) result.then(onDropped, () => {});
      };
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
      result.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  }

  /** A call whose answer does not matter: nothing is left to free where the model was disposed of first. */
  forget<M extends Method>(method: M, args: Args<M>): void {
    this.call(method, args, { what: method }).catch(() => {});
  }

  close(): void {
    this.#closed ??= new UmedsamError("disposed", "the model was disposed of; load it again");
    this.#transport.close();
  }
}
