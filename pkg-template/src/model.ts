/** The classes that an application uses. */

import { UmedsamError } from "./errors.js";
import { copyPixels } from "./pixels.js";
import type { Result, SegmentOptionsMessage } from "./protocol.js";
import { typeName } from "./realms.js";
import type { Connection } from "./transport.js";
import type {
  BoxLike,
  EncodeOptions,
  EncodeTimings,
  ImageInput,
  ModelInfo,
  Prompt,
  SegmentOptions,
  Segmentation,
  UncertaintyOptions,
} from "./types.js";
import { anything, between, callback, checkOptions, flag, listOf, number, oneOf, signal as abortSignal } from "./validate.js";
import { windowMessage } from "./window.js";

/** A loaded network. Calls may overlap: each waits for those before it. */
export class Model {
  readonly #connection: Connection;
  #info: ModelInfo;

  /** @internal Use `load`. */
  constructor(connection: Connection, info: ModelInfo) {
    this.#connection = connection;
    this.#info = info;
  }

  /** What the weights say of themselves, and the device in use as of the last call. */
  get info(): ModelInfo {
    return this.#info;
  }

  /**
   * Encodes an image, which takes most of the time; the result answers any number of prompts.
   *
   * @throws {UmedsamError} `invalid-image`, `invalid-window`, `device-lost` (call again), `disposed`, `aborted`.
   */
  async encode(input: ImageInput, options: EncodeOptions = {}): Promise<EncodedImage> {
    checkOptions("options", options, ENCODE_OPTIONS);
    const { data, width, height, channels } = copyPixels(input);
    const intensities = { window: windowMessage(input.window), inverted: input.invert === true };
    const result = await this.#connection.call(
      "encode",
      { data, width, height, channels, intensities },
      {
        what: "encoding the image",
        signal: options.signal,
        transfer: [data.buffer as ArrayBuffer],
        onProgress: (fraction) => options.onProgress?.({ stage: "encode", fraction }),
        // Nobody holds an image whose encode was aborted while it ran.
        onDropped: ({ imageId }) => this.#connection.forget("disposeImage", { imageId }),
      },
    );
    this.#info = result.info;
    return new EncodedImage(this.#connection, result, width, height, (info) => {
      this.#info = info;
    });
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

/** An encoded image, kept to answer prompts. */
export class EncodedImage {
  readonly width: number;
  readonly height: number;
  readonly timings: EncodeTimings;
  readonly #connection: Connection;
  readonly #id: number;
  readonly #onInfo: (info: ModelInfo) => void;
  #disposed = false;

  /** @internal Use `Model.encode`. */
  constructor(
    connection: Connection,
    { imageId, timings }: Result<"encode">,
    width: number,
    height: number,
    onInfo: (info: ModelInfo) => void,
  ) {
    this.#connection = connection;
    this.#id = imageId;
    this.width = width;
    this.height = height;
    this.timings = timings;
    this.#onInfo = onInfo;
  }

  /**
   * Segments what is in each box, many boxes in one call. Corners are put in order, and a box partly outside is clipped.
   *
   * @throws {UmedsamError} `invalid-box` for the first box that is not finite, has no area or lies outside; `invalid-option` for an
   * option out of range; `device-lost` (call again), `disposed`, `aborted`.
   */
  async segment(prompts: readonly Prompt[], options: SegmentOptions = {}): Promise<Segmentation[]> {
    if (this.#disposed) throw new UmedsamError("disposed", "the image was disposed of; encode it again");
    const boxes = boxesOf(prompts);
    checkOptions("options", options, SEGMENT_OPTIONS);
    checkOptions("uncertainty", options.uncertainty, UNCERTAINTY_OPTIONS);
    const { maps = ALL_MAPS, ...uncertainty } = options.uncertainty ?? {};
    const perCall = boxesPerCall(this, boxes.length / 4, maps.length);
    const message = optionsMessage(uncertainty, options);
    const segmentations: Segmentation[] = [];
    const timings = { segmentMs: 0, reencodeMs: 0 };
    // An empty call too, so that its options are checked.
    for (let begin = 0; begin === 0 || begin < boxes.length; begin += 4 * perCall) {
      const { results, info, ...call } = await this.#connection.call(
        "segment",
        { imageId: this.#id, boxes: boxes.slice(begin, begin + 4 * perCall), options: message, maps },
        { what: "segmenting", signal: options.signal },
      );
      this.#onInfo(info);
      timings.segmentMs += call.timings.segmentMs;
      timings.reencodeMs += call.timings.reencodeMs;
      segmentations.push(...results.map((result) => ({ ...result, width: this.width, height: this.height, timings })));
    }
    return segmentations;
  }

  /**
   * Segments what is in each box, one after the other: for images and numbers of boxes whose results would not fit in memory together.
   *
   * @throws {UmedsamError} As {@link EncodedImage.segment}.
   */
  async *segmentEach(prompts: readonly Prompt[], options: SegmentOptions = {}): AsyncGenerator<Segmentation, void, undefined> {
    boxesOf(prompts);
    for (const prompt of prompts) yield* await this.segment([prompt], options);
  }

  /** Frees the embedding. Later calls fail with code `disposed`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#connection.forget("disposeImage", { imageId: this.#id });
  }
}

/** The most bytes that masks and maps of one call take. */
const MAX_RESULT_BYTES = 2 ** 31;
/** The most bytes that one box takes in the wasm instance, which has 4 GiB in all. */
const MAX_BOX_BYTES = 1.5 * 2 ** 30;
/** Boxes are handed over in portions of about this size. */
const PORTION_BYTES = 2 ** 28;
/** Mask, outer, inner; probability; a map. */
const [BYTES, FLOAT, MAPS] = [3, 4, 3];

/** How many boxes go to the network at once. */
function boxesPerCall({ width, height }: { width: number; height: number }, boxes: number, maps: number): number {
  const pixels = width * height;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const inside = pixels * (BYTES + FLOAT + FLOAT * MAPS);
  if (inside > MAX_BOX_BYTES) {
    throw new UmedsamError(
      "invalid-image",
      `a result of ${width}×${height} pixels takes ${gigabytes(inside)}, more than the ${gigabytes(MAX_BOX_BYTES)} that fit; encode a smaller image`,
    );
  }
  const each = pixels * (BYTES + FLOAT + FLOAT * maps);
  if (each * boxes > MAX_RESULT_BYTES) {
    throw new UmedsamError(
      "invalid-option",
      `the results of ${boxes} boxes of ${width}×${height} pixels take ${gigabytes(each * boxes)}, more than the ` +
        `${gigabytes(MAX_RESULT_BYTES)} that one call gives; give fewer boxes, ask for fewer maps (uncertainty.maps), or use segmentEach()`,
    );
  }
  return Math.max(1, Math.floor(PORTION_BYTES / inside));
}

const ALL_MAPS = ["total", "aleatoric", "epistemic"] as const;

const ENCODE_OPTIONS = { onProgress: callback, signal: abortSignal };
const SEGMENT_OPTIONS = {
  uncertainty: anything,
  alpha: between(0, 1),
  calibrated: flag,
  mask: oneOf("network", "consensus"),
  zoom: oneOf("auto", "on", "off"),
  signal: abortSignal,
};
const UNCERTAINTY_OPTIONS = {
  samples: number(0, 64, "whole"),
  jitter: number(0, 20),
  multimask: number(0, 1),
  flips: flag,
  seed: number(0, Number.MAX_SAFE_INTEGER, "whole"),
  maps: listOf(oneOf(...ALL_MAPS)),
};

/** Leaves out what is undefined, which the library would take for a value. */
function optionsMessage(
  uncertainty: Omit<UncertaintyOptions, "maps">,
  { alpha, calibrated, mask, zoom }: SegmentOptions,
): SegmentOptionsMessage {
  const given = Object.entries(uncertainty).filter(([, value]) => value !== undefined);
  return {
    uncertainty: Object.fromEntries(given),
    ...(alpha === undefined ? {} : { alpha }),
    ...(calibrated === undefined ? {} : { calibrated }),
    ...(mask === undefined ? {} : { mask }),
    ...(zoom === undefined ? {} : { zoom }),
  };
}

function boxesOf(prompts: readonly Prompt[]): Float64Array {
  if (!Array.isArray(prompts)) {
    throw new UmedsamError("invalid-box", `prompts is ${typeName(prompts)}; use an array: [{ box: [x0, y0, x1, y1] }]`);
  }
  return Float64Array.from(
    prompts.flatMap((prompt: Prompt) => {
      checkOptions("prompt", prompt ?? null, { box: anything }, "invalid-box");
      return checkedBox(prompt.box);
    }),
  );
}

function checkedBox(box: BoxLike | undefined): number[] {
  const corners = Array.isArray(box) || (ArrayBuffer.isView(box) && typeName(box) !== "DataView") ? Array.from(box as ArrayLike<unknown>) : [];
  if (corners.length !== 4 || corners.some((corner) => typeof corner !== "number")) {
    const given = ArrayBuffer.isView(box) ? `${typeName(box)}(${corners.join(", ")})` : (JSON.stringify(box) ?? String(box));
    throw new UmedsamError("invalid-box", `${given}; use { box: [x0, y0, x1, y1] }`);
  }
  return corners as number[];
}
