/** Ways to reach an engine, and the queue in front of it. */

import { type ErrorMessage, UmedsamError, abortedError, toUmedsamError } from "./errors.js";
import type { Args, Method, RequestMessage, ResponseMessage, Result } from "./protocol.js";

interface Transport {
  send<M extends Method>(
    method: M,
    args: Args<M>,
    onProgress: (fraction: number) => void,
    transfer: Transferable[],
  ): Promise<Result<M>>;
  close(): void;
}

/** Sends requests to a worker. */
class WorkerTransport implements Transport {
  readonly #worker: Worker;
  readonly #pending = new Map<
    number,
    { resolve: (value: never) => void; reject: (error: UmedsamError) => void; onProgress: (fraction: number) => void }
  >();
  #nextId = 1;
  #failure: UmedsamError | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<ResponseMessage>) => this.#receive(data);
    worker.onmessageerror = () => this.#fail("a message of the worker could not be read");
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(event.message || "its script could not be loaded");
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

  close(): void {
    this.#worker.terminate();
    this.#reject({ code: "disposed", message: "the model was disposed of; load it again" });
  }

  #receive(message: ResponseMessage): void {
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
    this.#reject({ code: "worker-failed", message: `the worker failed: ${reason}; load the model again` });
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

  async send<M extends Method>(
    method: M,
    args: Args<M>,
    onProgress: (fraction: number) => void,
  ): Promise<Result<M>> {
    const engine = await this.#engine;
    return engine.handle(method, args, onProgress);
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
  readonly #transport: Transport;
  #last: Promise<unknown> = Promise.resolve();
  #closed: UmedsamError | undefined;

  constructor(worker: boolean | (() => Worker)) {
    if (worker === false) {
      this.#transport = new InlineTransport();
    } else {
      const make = () => new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "umedsam" });
      this.#transport = new WorkerTransport(worker === true ? make() : worker());
    }
  }

  call<M extends Method>(method: M, args: Args<M>, options: CallOptions<M>): Promise<Result<M>> {
    const { what, onDropped, onProgress = () => {}, signal, transfer = [] } = options;
    const run = async (): Promise<Result<M>> => {
      if (signal?.aborted) throw abortedError(what);
      if (this.#closed !== undefined) throw this.#closed;
      try {
        return await this.#transport.send(method, args, onProgress, transfer);
      } catch (cause) {
        const error = toUmedsamError(cause);
        if (error.code === "crashed") this.#closed = error;
        throw error;
      }
    };
    const result = this.#last.then(run, run);
    this.#last = result.catch(() => {});
    if (signal === undefined) return result;
    return new Promise((resolve, reject) => {
      const abort = () => {
        reject(abortedError(what));
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
