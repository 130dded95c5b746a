/** What is kept of a slice that was found: numbers of 8 bits, which are unpacked while they are looked at. */

import type { Segmentation } from "../../umedsam/index.js";

/** What the page paints, lists and saves of an answer. */
export type Answer = Pick<
  Segmentation,
  "width" | "height" | "mask" | "probability" | "uncertainty" | "outer" | "inner" | "guarantee" | "area" | "areaInterval" | "expectedDsc" | "needsReview" | "shift" | "calibration"
>;

/** Uncertainty of a single pass in bits, by the probability in 8 bits. */
const ENTROPY = Float32Array.from({ length: 256 }, (_, value) => {
  const inside = value / 255;
  const bits = (share: number) => (share === 0 ? 0 : -share * Math.log2(share));
  return bits(inside) + bits(1 - inside);
});
const PROBABILITY = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** Numbers by a table, held no longer than somebody looks at them. */
class Unpacked {
  readonly #packed: Uint8Array;
  readonly #table: Float32Array;
  #values: WeakRef<Float32Array<ArrayBuffer>> | undefined;

  constructor(packed: Uint8Array, table: Float32Array) {
    this.#packed = packed;
    this.#table = table;
  }

  get values(): Float32Array<ArrayBuffer> {
    const kept = this.#values?.deref();
    if (kept !== undefined) return kept;
    const values = new Float32Array(this.#packed.length);
    for (let index = 0; index < values.length; index++) values[index] = this.#table[this.#packed[index] as number] as number;
    this.#values = new WeakRef(values);
    return values;
  }
}

export class FoundSlice implements Answer {
  readonly width: number;
  readonly height: number;
  readonly area: number;
  readonly expectedDsc: number;
  readonly needsReview: boolean | null;
  readonly calibration: Segmentation["calibration"];
  readonly mask: Uint8Array<ArrayBuffer>;
  /** Nothing is guaranteed of slices beyond the prompted one. */
  readonly outer = null;
  readonly inner = null;
  readonly guarantee = null;
  readonly areaInterval = null;
  readonly shift = null;
  readonly #probability: Unpacked;
  readonly #total: Unpacked;

  constructor({ width, height, area, expectedDsc, needsReview, calibration }: Answer, mask: Uint8Array, probability: Uint8Array) {
    this.width = width;
    this.height = height;
    this.area = area;
    this.expectedDsc = expectedDsc;
    this.needsReview = needsReview;
    this.calibration = calibration;
    this.mask = mask as Uint8Array<ArrayBuffer>;
    this.#probability = new Unpacked(probability, PROBABILITY);
    this.#total = new Unpacked(probability, ENTROPY);
  }

  get probability(): Segmentation["probability"] {
    return this.#probability.values;
  }

  get uncertainty(): Segmentation["uncertainty"] {
    return { total: this.#total.values, aleatoric: null, epistemic: null };
  }
}
