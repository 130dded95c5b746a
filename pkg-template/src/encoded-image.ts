/** An image that the network has seen. */

/// <reference lib="esnext.disposable" preserve="true" />

import { disposable, finalization } from "./disposal.js";
import { UmedsamError } from "./errors.js";
import type { Model } from "./model.js";
import { buffersOf, messagesOf } from "./prompts.js";
import type { Result, SegmentOptionsMessage } from "./protocol.js";
import { boxesPerCall } from "./sizes.js";
import type { Connection } from "./transport.js";
import type { EncodeTimings, Prompt, SegmentOptions, Segmentation, UncertaintyMap, UncertaintyOptions } from "./types.js";
import { anything, between, callback, checkOptions, flag, listOf, number, oneOf, signal as abortSignal } from "./validate.js";

/** Embeddings of images that nobody holds any more. */
const dropped = finalization(({ connection, imageId }: { connection: Connection; imageId: number }) => connection.forget("disposeImage", { imageId }));

/** An encoded image, kept to answer prompts. */
export class EncodedImage {
  readonly width: number;
  readonly height: number;
  readonly timings: EncodeTimings;
  readonly #connection: Connection;
  readonly #id: number;
  readonly #model: Model;
  #disposed = false;

  /** @internal Use `Model.encode`. */
  constructor(
    connection: Connection,
    { imageId, timings }: Result<"encode">,
    width: number,
    height: number,
    model: Model,
  ) {
    this.#connection = connection;
    this.#id = imageId;
    this.width = width;
    this.height = height;
    this.timings = timings;
    // An image that is held keeps its model.
    this.#model = model;
    dropped.register(this, { connection, imageId }, this);
  }

  /**
   * Segments an object for each prompt, many in one call. A box's corners are put in order, and a box partly outside is clipped.
   *
   * @throws {UmedsamError} `invalid-box` for the first box that is not finite, has no area or lies outside; `invalid-prompt` for a point outside, an earlier mask
   * of another size, or nothing to go by; `invalid-option` for an option out of range; `device-lost` (call again), `disposed`, `aborted`.
   */
  async segment(prompts: readonly Prompt[], options: SegmentOptions = {}): Promise<Segmentation[]> {
    if (this.#disposed) throw new UmedsamError("disposed", "the image was disposed of; encode it again");
    const messages = messagesOf(prompts, this);
    const { message, maps } = checkedOptions(options);
    const perCall = boxesPerCall(this, messages.length, maps.length);
    const report = (done: number, ofCall: number) => (fraction: number) =>
      options.onProgress?.({ stage: "segment", fraction: (done + ofCall * fraction) / messages.length });
    const segmentations: Segmentation[] = [];
    const timings = { segmentMs: 0, reencodeMs: 0 };
    // An empty call too, so that its options are checked.
    for (let begin = 0; begin === 0 || begin < messages.length; begin += perCall) {
      const portion = messages.slice(begin, begin + perCall);
      const { results, info, ...call } = await this.#connection.call(
        "segment",
        { imageId: this.#id, prompts: portion, options: message, maps },
        { what: "segmenting", signal: options.signal, onProgress: report(begin, portion.length), transfer: buffersOf(portion) },
      );
      this.#model.update(info);
      timings.segmentMs += call.timings.segmentMs;
      timings.reencodeMs += call.timings.reencodeMs;
      segmentations.push(...results.map((result) => ({ ...result, width: this.width, height: this.height, timings })));
    }
    return segmentations;
  }

  /**
   * Segments an object for each prompt, one after the other: for images and numbers of prompts whose results would not fit in memory together.
   *
   * @throws {UmedsamError} As {@link EncodedImage.segment}.
   */
  async *segmentEach(prompts: readonly Prompt[], options: SegmentOptions = {}): AsyncGenerator<Segmentation, void, undefined> {
    messagesOf(prompts, this);
    for (const prompt of prompts) yield* await this.segment([prompt], options);
  }

  /** @internal Segments an object that is followed through a volume; see `umedsam/propagation`. */
  async follow(propagationId: number, options: SegmentOptions): Promise<Omit<Result<"follow">, "results" | "info"> & { segmentation: Segmentation }> {
    if (this.#disposed) throw new UmedsamError("disposed", "the image was disposed of; encode it again");
    const { message, maps } = checkedOptions(options);
    const { results, info, ...found } = await this.#connection.call(
      "follow",
      { propagationId, imageId: this.#id, options: message, maps },
      { what: "propagating", signal: options.signal },
    );
    this.#model.update(info);
    const [result] = results;
    if (result === undefined) throw new UmedsamError("computation-failed", "there is no answer");
    return { ...found, segmentation: { ...result, width: this.width, height: this.height, timings: found.timings } };
  }

  /** Frees the embedding. Later calls fail with code `disposed`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    dropped.unregister(this);
    this.#connection.forget("disposeImage", { imageId: this.#id });
  }
}

export interface EncodedImage extends Disposable, AsyncDisposable {}
disposable(EncodedImage);

const ALL_MAPS = ["total", "aleatoric", "epistemic"] as const;

const SEGMENT_OPTIONS = {
  uncertainty: anything,
  alpha: between(0, 1),
  delta: between(0, 1),
  calibrated: flag,
  mask: oneOf("network", "consensus"),
  zoom: oneOf("auto", "on", "off"),
  onProgress: callback,
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

/** Options as the wasm library reads them. */
function checkedOptions(options: SegmentOptions): { readonly message: SegmentOptionsMessage; readonly maps: readonly UncertaintyMap[] } {
  checkOptions("options", options, SEGMENT_OPTIONS);
  checkOptions("uncertainty", options.uncertainty, UNCERTAINTY_OPTIONS);
  const { maps = ALL_MAPS, ...uncertainty } = options.uncertainty ?? {};
  return { message: optionsMessage(uncertainty, options), maps };
}

/** Leaves out what is undefined, which the library would take for a value. */
function optionsMessage(
  uncertainty: Omit<UncertaintyOptions, "maps">,
  { alpha, delta, calibrated, mask, zoom }: SegmentOptions,
): SegmentOptionsMessage {
  const given = Object.entries(uncertainty).filter(([, value]) => value !== undefined);
  return {
    uncertainty: Object.fromEntries(given),
    ...(alpha === undefined ? {} : { alpha }),
    ...(delta === undefined ? {} : { delta }),
    ...(calibrated === undefined ? {} : { calibrated }),
    ...(mask === undefined ? {} : { mask }),
    ...(zoom === undefined ? {} : { zoom }),
  };
}
