/** A network that is loaded. */

/// <reference lib="esnext.disposable" preserve="true" />

import { disposable, finalization } from "./disposal.js";
import { EncodedImage } from "./encoded-image.js";
import { buffersOf } from "./prompts.js";
import type { CourseMessage, PromptMessage, Result } from "./protocol.js";
import { ownPixels } from "./sources.js";
import type { Connection } from "./transport.js";
import type { EncodeOptions, ImageInput, ImageSource, ModelInfo } from "./types.js";
import { callback, checkOptions, signal as abortSignal } from "./validate.js";
import { windowMessage } from "./window.js";

/** Networks that nobody holds any more, with their workers. */
const dropped = finalization((connection: Connection) => connection.close());

/** A loaded network. Calls may overlap: each waits for those before it. */
export class Model {
  readonly #connection: Connection;
  readonly #baseUrl: URL | undefined;
  #info: ModelInfo;

  /** @internal Use `load`. */
  constructor(connection: Connection, info: ModelInfo, baseUrl: URL | undefined) {
    this.#connection = connection;
    this.#info = info;
    this.#baseUrl = baseUrl;
    dropped.register(this, connection, this);
  }

  /** @internal What the last call says of the model. */
  update(info: ModelInfo): void {
    this.#info = info;
  }

  /** What the weights say of themselves, and the device in use as of the last call. */
  get info(): ModelInfo {
    return this.#info;
  }

  /**
   * Encodes an image, which takes most of the time; the result answers any number of prompts. Besides pixels it takes what a page has: a canvas, a bitmap, an
   * image element, a video frame, or a file.
   *
   * @throws {UmedsamError} `invalid-image`, `invalid-window`, `device-lost` (call again), `disposed`, `aborted`.
   */
  async encode(input: ImageInput | ImageSource, options: EncodeOptions = {}): Promise<EncodedImage> {
    checkOptions("options", options, ENCODE_OPTIONS);
    const { data, width, height, channels, window, invert } = await ownPixels(input, this.#baseUrl);
    const intensities = { window: windowMessage(window), inverted: invert };
    const connection = this.#connection;
    const result = await connection.call(
      "encode",
      { data, width, height, channels, intensities },
      {
        what: "encoding the image",
        signal: options.signal,
        transfer: [data.buffer as ArrayBuffer],
        onProgress: (fraction) => options.onProgress?.({ stage: "encode", fraction }),
        // Nobody holds an image whose encode was aborted while it ran.
        onDropped: ({ imageId }) => connection.forget("disposeImage", { imageId }),
      },
    );
    this.#info = result.info;
    return new EncodedImage(connection, result, width, height, this);
  }

  /** @internal Begins to follow an object through a volume; see `umedsam/propagation`. */
  async propagation(prompt: PromptMessage, course: CourseMessage): Promise<Result<"propagate"> & { readonly end: () => void }> {
    const connection = this.#connection;
    const begun = await connection.call("propagate", { prompt, course }, { what: "propagating", transfer: buffersOf([prompt]) });
    return { ...begun, end: () => connection.forget("disposePropagation", { propagationId: begun.propagationId }) };
  }

  /** Bytes of the wasm instance's memory; it never shrinks, so this is the peak. */
  memoryBytes(): Promise<number> {
    return this.#connection.call("memoryBytes", null, { what: "asking for the memory" });
  }

  /** Addresses that the network's thread has fetched so far, its worker's by default: a page does not see what its workers fetch. */
  requests(): Promise<string[]> {
    return this.#connection.call("requests", null, { what: "asking for the requests" });
  }

  /** Frees the network, its images and its worker at once. Calls under way and later ones fail with code `disposed`. */
  dispose(): void {
    dropped.unregister(this);
    this.#connection.close();
  }

  /** @internal Panics in the wasm instance. */
  crashForTest(): Promise<null> {
    return this.#connection.call("crashForTest", null, { what: "crashing" });
  }

  /** @internal Destroys the GPU device as a driver reset would. */
  destroyGpuForTest(): Promise<null> {
    return this.#connection.call("destroyGpuForTest", null, { what: "destroying the GPU device" });
  }
}

export interface Model extends Disposable, AsyncDisposable {}
disposable(Model);

const ENCODE_OPTIONS = { onProgress: callback, signal: abortSignal };
