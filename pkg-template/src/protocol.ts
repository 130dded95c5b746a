/** What the page asks of the engine, and what it answers. The same requests go to a worker or to an engine in this thread. */

import type { ErrorMessage } from "./errors.js";
import type { ModulePlace } from "./module.js";
import type {
  DeviceRequest,
  EncodeTimings,
  LowResMask,
  ModelInfo,
  PixelArray,
  Point,
  Scribble,
  SegmentTimings,
  Segmentation,
  UncertaintyMap,
  UncertaintyOptions,
  Zoom,
} from "./types.js";

/** A window as the wasm library reads it. */
export type WindowMessage =
  | { readonly kind: "auto" | "min-max" }
  | { readonly kind: "level"; readonly center: number; readonly width: number }
  | { readonly kind: "percentiles"; readonly low: number; readonly high: number };

/** What an image's values mean, as the wasm library reads it. */
export interface IntensitiesMessage {
  readonly window: WindowMessage;
  readonly inverted: boolean;
}

export interface Methods {
  /** Answered as soon as the worker's script runs. */
  hello: { args: null; result: null };
  /** Fetches and compiles the wasm module. */
  prepare: { args: ModulePlace; result: null };
  load: {
    args: { weights: ArrayBuffer; device: DeviceRequest } & ModulePlace;
    result: { info: ModelInfo };
  };
  encode: {
    args: { data: PixelArray; width: number; height: number; channels: number; intensities: IntensitiesMessage };
    result: { imageId: number; timings: EncodeTimings; info: ModelInfo };
  };
  segment: {
    args: { imageId: number; prompts: readonly PromptMessage[]; options: SegmentOptionsMessage; maps: readonly UncertaintyMap[] };
    result: { results: SegmentationMessage[]; timings: SegmentTimings; info: ModelInfo };
  };
  /** Begins to follow an object through a volume. */
  propagate: {
    args: { prompt: PromptMessage; course: CourseMessage };
    result: { propagationId: number } & Wanted;
  };
  /** Segments it on the slice that is wanted. */
  follow: {
    args: { propagationId: number; imageId: number; options: SegmentOptionsMessage; maps: readonly UncertaintyMap[] };
    result: { results: SegmentationMessage[]; slice: number; end: End | null; timings: SegmentTimings; info: ModelInfo } & Wanted;
  };
  disposePropagation: { args: { propagationId: number }; result: null };
  /** Ends another request, by its id, after its current step. */
  stop: { args: { id: number }; result: null };
  disposeImage: { args: { imageId: number }; result: null };
  disposeModel: { args: null; result: null };
  memoryBytes: { args: null; result: number };
  requests: { args: null; result: string[] };
  crashForTest: { args: null; result: null };
  destroyGpuForTest: { args: null; result: null };
}

/** What is wanted of a volume next. */
export interface Wanted {
  /** Undefined at the end. */
  readonly nextSlice: number | undefined;
  readonly mostLeft: number;
}

/** Where an object begins and ends, as the wasm library reads it. */
export interface CourseMessage {
  readonly slice: number;
  readonly slices: number;
  readonly range?: readonly [number, number];
  readonly stop?: Partial<StopRules>;
}

/** When a direction ends. */
export interface StopRules {
  readonly emptySlices: number;
  readonly expectedDsc: number;
  readonly area: number;
  readonly presence: number;
}

/** Why a slice is not part of the object. */
export type End = "empty" | "expected-dsc" | "area" | "presence";

/** A prompt as the wasm library reads it. */
export interface PromptMessage {
  readonly box?: readonly number[];
  readonly points?: readonly Point[];
  readonly scribbles?: readonly Scribble[];
  readonly previous?: LowResMask | { readonly mask: Uint8Array };
}

/** Options as the wasm library reads them; what is left out is the default. */
export interface SegmentOptionsMessage {
  readonly uncertainty: Omit<UncertaintyOptions, "maps">;
  readonly alpha?: number;
  readonly delta?: number;
  readonly calibrated?: boolean;
  readonly mask?: "network" | "consensus";
  readonly zoom?: Zoom;
}

export type SegmentationMessage = Omit<Segmentation, "width" | "height" | "timings">;

export type Method = keyof Methods;
export type Args<M extends Method> = Methods[M]["args"];
export type Result<M extends Method> = Methods[M]["result"];

export type RequestMessage = { [M in Method]: { id: number; method: M; args: Args<M> } }[Method];

export type ResponseMessage =
  | { readonly id: number; readonly kind: "progress"; readonly fraction: number }
  | { readonly id: number; readonly kind: "result"; readonly value: unknown }
  | { readonly id: number; readonly kind: "error"; readonly error: ErrorMessage };
