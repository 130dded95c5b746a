/** A box `[x0, y0, x1, y1]` in pixels of the image: x to the right, y down, from the outer corner of the first pixel. */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number];

/** Four numbers in an array of any type, as a box. */
export type BoxLike = Box | Float32Array | Float64Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

/**
 * Which device runs the network.
 * - `"auto"`: WebGPU on a real adapter that passes a known-answer check, else the CPU.
 * - `"cpu"`: WebAssembly with SIMD.
 * - `"webgpu"`: WebGPU, an emulated adapter included; an error where there is none.
 */
export type DeviceRequest = "auto" | "cpu" | "webgpu";

/** The device in use. It can change if a GPU is lost. */
export interface DeviceInfo {
  readonly kind: "cpu" | "webgpu";
  /** Why it was chosen, for people. */
  readonly reason: string;
  /** Name of the GPU adapter, if there is one. */
  readonly adapter: string | null;
}

/** What the weights say of themselves, and where the network runs. */
export interface ModelInfo {
  /** Name of the network, such as `"umedsam-student"` (the default weights) or `"umedsam-litemedsam"`. */
  readonly architecture: string;
  /** How the weights are stored: `"f32"`, `"f16"` or `"i8"` (the default weights). */
  readonly precision: string;
  /** Side of the network's square input, in pixels. */
  readonly inputSize: number;
  /** SPDX identifier of the weights' licence. */
  readonly licence: string;
  /** Where the weights come from. */
  readonly source: string;
  /** SHA-256 of the checkpoint they were converted from. */
  readonly sourceSha256: string;
  /** What the weights were calibrated on; `null` if they were not. */
  readonly calibration: CalibrationInfo | null;
  readonly device: DeviceInfo;
  /** Where the wasm module is from: by default `umedsam_relaxed_bg.wasm` in engines that know relaxed SIMD, `umedsam_bg.wasm` in others. */
  readonly wasmUrl: string;
}

/** What probabilities, guarantees and expected DSC were learned on: they hold for images drawn as these were. */
export interface CalibrationInfo {
  readonly description: string;
  /** Number of images. */
  readonly cases: number;
  /** Number of boxes. */
  readonly boxes: number;
  /** Images by modality. */
  readonly modalities: Readonly<Record<string, number>>;
  /** Kinds of prompts that were calibrated; weights that have learned boxes alone have `"box"` only, and answer points and corrections badly. */
  readonly prompts: readonly PromptKind[];
  /** Mean distance of the expected DSC from the true one, by cross-validation. */
  readonly expectedDscError: number;
  /** Masks with a DSC below this count as poor. */
  readonly poorDsc: number;
  /** Share of the poor masks that `needsReview` flags at least, in expectation, 0–1. */
  readonly reviewSensitivity: number;
  /** Whether the weights tell images that are unlike those of the calibration; see `Segmentation.shift`. */
  readonly shiftAlarm: boolean;
}

/** How far a load, an encode or a segmentation is. */
export interface Progress {
  /**
   * `"module"` while the WebAssembly module and, side by side, `"weights"` while they download, `"model"` while the network is set up, `"encode"` while an image
   * is encoded, `"segment"` while boxes are segmented.
   */
  readonly stage: "module" | "weights" | "model" | "encode" | "segment";
  /** 0–1; `undefined` where a server does not tell a length. */
  readonly fraction: number | undefined;
  /** Bytes so far, while weights download. */
  readonly loadedBytes?: number;
  /** Bytes in all, while weights download, where the server tells. */
  readonly totalBytes?: number;
  /** Whether the weights were kept from an earlier visit; see `LoadOptions.cache`. */
  readonly fromCache?: true;
}

/** Where weights come from: a URL, a response, or the bytes themselves, which are copied. */
export type WeightsSource = string | URL | Response | Blob | ArrayBuffer | ArrayBufferView;

export interface LoadOptions {
  /** A `.safetensors` file made by `umedsam train` or `umedsam convert`; by default the one in this package, whose SHA-256 is checked in a secure context. */
  readonly weights?: WeightsSource;
  /** Default `"auto"`. */
  readonly device?: DeviceRequest;
  /**
   * `true` (default) runs in a module worker, so that the page never freezes; `false` runs on the calling thread; a function
   * gives a worker of your own, which must run the package's `worker.js`.
   */
  readonly worker?: boolean | (() => Worker);
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the load early with an error of code `"aborted"`. */
  readonly signal?: AbortSignal;
  /** Refuses weights with another SHA-256 (lower-case hexadecimal). Needs a secure context. */
  readonly sha256?: string;
  /**
   * Where the wasm module is, if your bundler does not find it beside the package's files: `umedsam_bg.wasm`, which every engine with SIMD runs,
   * or `umedsam_relaxed_bg.wasm`, which is faster and needs relaxed SIMD, as Chromium has it. A thread keeps the first module it loads.
   */
  readonly wasmUrl?: string | URL;
  /**
   * A folder with a copy of this package's files (`dist`, `weights`), for bundlers that do not find worker, wasm modules and weights by themselves, such as
   * esbuild and Rollup: `cp -r node_modules/umedsam public/umedsam`, then `baseUrl: "/umedsam/"`.
   */
  readonly baseUrl?: string | URL;
  /**
   * How weights and the wasm module are kept.
   * - `"default"`: as the browser does, by the server's headers.
   * - `"persistent"`: in the browser's Cache API, by their SHA-256, which is checked at every visit: the next one needs no network for them. A new version
   *   takes the old one's place. Weights of your own without `sha256` are kept by their address: change it when they change. Where the browser keeps nothing
   *   (no secure context, private windows, no room) they are downloaded. `clearCache()` forgets all.
   * - `false`: downloaded anew, past the browser's own cache.
   */
  readonly cache?: "default" | "persistent" | false;
}

/** Pixel values, row by row, channels of a pixel side by side. */
export type PixelArray =
  | Uint8Array
  | Uint8ClampedArray
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/**
 * How intensities become 8 bits. Values outside the range are clipped; NaN becomes the lower end.
 * - `"auto"` (default): 8-bit images as they are, other types by the 0.5–99.5 percentiles of their non-zero values, without padding: a lowest value
 *   that more than 0.5 % of the pixels have, far below the others (by more than 15 % of their range), as around a CT's field of view.
 * - `"min-max"`: from the smallest to the largest finite value.
 * - `{ center, width }`: as in DICOM, in the image's units (Hounsfield units for CT).
 * - `{ percentiles: [low, high] }`: of the finite non-zero values, 0–100.
 */
export type Window =
  | "auto"
  | "min-max"
  | { readonly center: number; readonly width: number }
  | { readonly percentiles: readonly [low: number, high: number] };

/**
 * What a page has a picture in. A `Blob` or `File` is read by the decoders of `umedsam/image`, which are loaded then: upright, 16 bits as 16 bits, samples as
 * stored. The others are drawn on a canvas of 8 bits when `encode` is called, in the page's colours; some browsers change what is read from canvases.
 */
export type ImageSource = HTMLCanvasElement | OffscreenCanvas | ImageBitmap | HTMLImageElement | HTMLVideoElement | VideoFrame | Blob;

export interface ImageInput {
  /**
   * An `ImageData`, `width · height · channels` values, or a picture of the page. Values are copied when `encode` is called, and may change afterwards.
   */
  readonly data: ImageData | PixelArray | ImageSource;
  /** In pixels; only of values, all else brings its own. */
  readonly width?: number;
  /** In pixels; only of values, all else brings its own. */
  readonly height?: number;
  /**
   * 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA); by default what fits the length. Colours of 8 and 16 unsigned bits are composited over black, so that
   * what is hidden is not seen; the alpha of other types is left out.
   */
  readonly channels?: 1 | 2 | 3 | 4;
  /** How intensities become 8 bits; default `"auto"`. */
  readonly window?: Window;
  /** High values are dark, as in DICOM's MONOCHROME1: the image is inverted after the window. Default `false`. */
  readonly invert?: boolean;
}

export interface EncodeOptions {
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Takes the call out of the queue, or ends it after the network's current step, so that the next call can start: an error of code `"aborted"`, named
   * `AbortError`, with the signal's reason as its cause.
   */
  readonly signal?: AbortSignal;
}

/** Whether a point is inside the object (`"foreground"`) or outside of it (`"background"`). */
export type PointLabel = "foreground" | "background";

/** A point in pixels of the image, as the corners of a {@link Box}: the middle of the first pixel is 0.5, 0.5. */
export interface Point {
  /** From 0 to the image's width. */
  readonly x: number;
  /** From 0 to the image's height. */
  readonly y: number;
  /** Default `"foreground"`. */
  readonly label?: PointLabel;
}

/** A stroke through points in pixels of the image; the network takes about every twelfth pixel of its input along it, at most 8. */
export interface Scribble {
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Default `"foreground"`. */
  readonly label?: PointLabel;
}

/** The network's own answer before it is enlarged, to be corrected: see {@link Prompt.previous}. */
export interface LowResMask {
  /** Logits of the network's square input, 256 by 256 with the weights of this package, row by row. */
  readonly logits: Float32Array<ArrayBuffer>;
  /** The part of the image that was looked at by itself; `null` if it was the whole. */
  readonly crop: Crop | null;
}

/** What to segment: any mix of a box, points, scribbles and the mask that is corrected, but not the mask alone. */
export interface Prompt {
  readonly box?: BoxLike;
  /** Points inside and outside of the object; with those along the scribbles at most 128. */
  readonly points?: readonly Point[];
  readonly scribbles?: readonly Scribble[];
  /** The mask that is corrected: `lowRes` of an earlier result, which is best, or a mask of the image's size, non-zero inside. */
  readonly previous?: LowResMask | Uint8Array | Uint8ClampedArray;
}

/**
 * What a prompt is made of, by which its calibration is chosen: a box alone, points or scribbles alone, or else (a box with points, an earlier mask) a correction.
 */
export type PromptKind = "box" | "points" | "corrected";

/** Name of an uncertainty map. */
export type UncertaintyMap = "total" | "aleatoric" | "epistemic";

/** How the uncertainty is found. The network's mask does not depend on it. */
export interface UncertaintyOptions {
  /**
   * Number of perturbed boxes that are decoded beside the box itself, 0–64; default 8. 0 is a single pass, without epistemic
   * uncertainty.
   */
  readonly samples?: number;
  /** Each side of a perturbed box moves by up to this many pixels of the network's input (256), 0–20. */
  readonly jitter?: number;
  /** Share of the weight of SAM's multimask hypotheses, 0–1. */
  readonly multimask?: number;
  /** Repeats everything on the mirrored image, left to right and top to bottom: two more encodes, once per image. Default `false`. */
  readonly flips?: boolean;
  /** Which perturbations are drawn, a whole number; default 0. The same seed gives the same maps. */
  readonly seed?: number;
  /** The maps to give back; default all. */
  readonly maps?: readonly UncertaintyMap[];
}

/** When small boxes are looked at closer. */
export type Zoom = "auto" | "on" | "off";

/** A part of an image, in its pixels: columns from `x`, rows from `y`. */
export interface Crop {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface SegmentOptions {
  readonly uncertainty?: UncertaintyOptions;
  /**
   * Bound of what `outer` misses and of what is wrong in `inner`, in expectation; between 0 and 1, default 0.1.
   */
  readonly alpha?: number;
  /**
   * How often that bound may fail for an object, between 0 and 1: `outer` and `inner` then hold for single objects, with probability 1 − `delta` each. Without it the
   * bound holds in expectation.
   */
  readonly delta?: number;
  /** `false` leaves probabilities as the network gives them, without guarantees. Default `true`. */
  readonly calibrated?: boolean;
  /**
   * What the mask is.
   * - `"network"` (default): where the network's logits for the box as it was given are positive, as in the official network. No option
   *   of the uncertainty changes it.
   * - `"consensus"`: where `probability` is above ½, the calibrated mean of the ensemble.
   */
  readonly mask?: "network" | "consensus";
  /**
   * Whether small boxes (longer side at most a quarter of the image's) are seen in a crop of their own, about four times as large as the box, which is
   * encoded when it is first needed.
   * - `"off"` (default): never.
   * - `"auto"`: where the weights were calibrated for it.
   * - `"on"`: whatever the weights.
   */
  readonly zoom?: Zoom;
  /** Told after every few decoded boxes, those of the ensemble included. */
  readonly onProgress?: (progress: Progress) => void;
  /** As {@link EncodeOptions.signal}. */
  readonly signal?: AbortSignal;
}

/** Milliseconds. */
export interface EncodeTimings {
  /** Window, resize, scaling. */
  readonly preprocessMs: number;
  /** The image encoder. */
  readonly encodeMs: number;
}

/** Milliseconds of the whole call, all its boxes together. */
export interface SegmentTimings {
  /** Prompt encoder, mask decoder and the maps at the image's size; the image encoder too where small boxes are seen in new crops. */
  readonly segmentMs: number;
  /** Encoding the image again after a GPU was lost, or its mirror images for `flips`; else about 0. */
  readonly reencodeMs: number;
}

/** Uncertainty per pixel, in bits, 0–1; `width · height` values, row by row; `null` if it was not asked for. */
export interface UncertaintyMaps {
  /** How unsure the answer is: entropy of the mean probability; the sum of the other two. */
  readonly total: Float32Array<ArrayBuffer> | null;
  /** How unsure each answer is by itself, as where the image is unclear: mean entropy. */
  readonly aleatoric: Float32Array<ArrayBuffer> | null;
  /** How much the answers to slightly different boxes disagree: mutual information. */
  readonly epistemic: Float32Array<ArrayBuffer> | null;
}

/** A place whose answer, inside of the object or not, is expected to change the mask most. */
export interface Suggestion {
  /** In pixels of the image, as a {@link Point}. */
  readonly x: number;
  readonly y: number;
  /** How much the DSC is expected to rise by the answer, 0–1. */
  readonly expectedGain: number;
  /** Probability that the place is inside, 0–1. */
  readonly probability: number;
}

/** What holds of a result's `outer` and `inner`, for images like those of the calibration. */
export interface Guarantee {
  /** Bound of the share of the object that `outer` misses, and of the share of `inner` that is wrong; what was calibrated, at most `SegmentOptions.alpha`. */
  readonly alpha: number;
  /** How often the bound may fail for an object, at most `SegmentOptions.delta`; `null` of a bound that holds in expectation. */
  readonly delta: number | null;
}

/** How unlike the calibration's images an image is. */
export interface Shift {
  /** Of images like those of the calibration, at most this share is as unlike them, 0–1. */
  readonly pValue: number;
  /** Whether that is so small (at most 0.04) that nothing is promised of the image. */
  readonly alarm: boolean;
}

/** What the network says of one prompt. Maps have `width · height` values, row by row. */
export interface Segmentation {
  /** The box as it was used: corners in order, clipped to the image; `null` of a prompt without one. */
  readonly box: Box | null;
  readonly width: number;
  readonly height: number;
  /** 1 inside, 0 outside; see `SegmentOptions.mask`. */
  readonly mask: Uint8Array<ArrayBuffer>;
  /** Probability of being inside, 0–1; see `calibration`. */
  readonly probability: Float32Array<ArrayBuffer>;
  readonly uncertainty: UncertaintyMaps;
  /**
   * 1 where the object may be, the mask included: misses at most a share of `alpha` of it, as `guarantee` says, for images like those of the calibration. `null` if
   * nothing was calibrated for these options, and with an alarm of `shift`.
   */
  readonly outer: Uint8Array<ArrayBuffer> | null;
  /** 1 where the object surely is, always within the mask: at most a share of `alpha` of it is wrong, as `guarantee` says, for images like those of the calibration. `null` as above. */
  readonly inner: Uint8Array<ArrayBuffer> | null;
  /** What holds of `outer` and `inner`; `null` if nothing was calibrated for these options, with `mask: "consensus"`, for which `inner` was not, and with an alarm of `shift`. */
  readonly guarantee: Guarantee | null;
  /** The DSC that is to be expected of the mask, 0–1. */
  readonly expectedDsc: number;
  /** Whether someone should look, for the expected DSC is low or `shift` has an alarm; `null` without calibration. */
  readonly needsReview: boolean | null;
  /**
   * How unlike the calibration's images this one is. With an alarm, what was learned on them is not promised of it: `outer`, `inner`, `guarantee` and `areaInterval` are
   * `null`, and `needsReview` is `true`. `null` where the weights do not know, and with `calibrated: false`.
   */
  readonly shift: Shift | null;
  /**
   * - `"fitted"`: probabilities are calibrated and guarantees are given for these options.
   * - `"nearest"`: probabilities are calibrated for other options; no guarantees.
   * - `"none"`: probabilities are the network's own.
   */
  readonly calibration: "fitted" | "nearest" | "none";
  /** The network's own estimate of the mask's IoU with the truth; near 0–1 but not bounded. */
  readonly predictedIou: number;
  /** Pixels inside the mask. */
  readonly area: number;
  /**
   * Between how many pixels the object's area is, in 90 % of the objects of images like those of the calibration; contains `area`. `null` if nothing was calibrated for
   * these options, as on slices that an object was followed to, and with an alarm of `shift`.
   */
  readonly areaInterval: readonly [smallest: number, largest: number] | null;
  /** The network's own answer, to be corrected by the next prompt. */
  readonly lowRes: LowResMask;
  /**
   * Where a click would help most, the most promising first, at most three: answer with a point of label `"foreground"` or `"background"`. Empty of a single pass,
   * and where everything is sure.
   */
  readonly suggestions: readonly Suggestion[];
  /** What the prompt was made of. */
  readonly promptKind: PromptKind;
  /** The part of the image that was looked at by itself, outside of which everything is 0; `null` if it was the whole. */
  readonly zoom: Crop | null;
  readonly timings: SegmentTimings;
}
