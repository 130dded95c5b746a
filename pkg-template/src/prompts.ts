/** Prompts as they come from JavaScript. */

import { UmedsamError } from "./errors.js";
import type { PromptMessage } from "./protocol.js";
import { typeName } from "./realms.js";
import type { BoxLike, LowResMask, Point, Prompt, Scribble } from "./types.js";
import { type Check, anything, checkOptions, listOf, oneOf, show } from "./validate.js";

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Checks the shape of each prompt and copies it; the values themselves are checked where they are used.
 *
 * @throws {UmedsamError} `invalid-box`, `invalid-prompt`
 */
export function messagesOf(prompts: readonly Prompt[], size: Size): PromptMessage[] {
  if (!Array.isArray(prompts)) {
    throw new UmedsamError("invalid-prompt", `prompts is ${typeName(prompts)}; use an array: [{ box: [x0, y0, x1, y1] }]`);
  }
  return prompts.map((prompt: Prompt) => message(prompt, size));
}

const PROMPT_KEYS = { box: anything, points: anything, scribbles: anything, previous: anything };
const label = oneOf("foreground", "background");
const coordinate: Check = (value) => (Number.isFinite(value) ? undefined : "a finite number, in pixels of the image");
const POINT_KEYS = { x: coordinate, y: coordinate, label };
const place: Check = (value) =>
  Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "number") ? undefined : "[x, y]";
const SCRIBBLE_KEYS = { points: listOf(place), label };

function message(prompt: Prompt, size: Size): PromptMessage {
  checkOptions("prompt", prompt ?? null, PROMPT_KEYS, "invalid-prompt");
  const { box, points, scribbles, previous } = prompt;
  if (box === undefined && isEmpty(points) && isEmpty(scribbles)) {
    throw new UmedsamError("invalid-prompt", `${show(prompt)} has nothing to go by; use { box: [x0, y0, x1, y1] }, { points: [{ x, y }] } or { scribbles }`);
  }
  return {
    ...(box === undefined ? {} : { box: checkedBox(box) }),
    ...(points === undefined ? {} : { points: checkedList("points", points, POINT_KEYS, "{ x, y, label }").map(copiedPoint) }),
    ...(scribbles === undefined ? {} : { scribbles: checkedList("scribbles", scribbles, SCRIBBLE_KEYS, "{ points: [[x, y], …], label }").map(copiedScribble) }),
    ...(previous === undefined || previous === null ? {} : { previous: checkedPrevious(previous, size) }),
  };
}

/** Buffers of the copies of earlier masks, which may go to a worker without another copy. */
export function buffersOf(messages: readonly PromptMessage[]): ArrayBuffer[] {
  return messages.flatMap(({ previous }) => {
    if (previous === undefined) return [];
    return [("mask" in previous ? previous.mask : previous.logits).buffer as ArrayBuffer];
  });
}

function isEmpty(list: readonly unknown[] | undefined): boolean {
  return list === undefined || (Array.isArray(list) && list.length === 0);
}

function checkedBox(box: BoxLike): number[] {
  const corners = Array.isArray(box) || (ArrayBuffer.isView(box) && typeName(box) !== "DataView") ? Array.from(box as ArrayLike<unknown>) : [];
  if (corners.length !== 4 || corners.some((corner) => typeof corner !== "number")) {
    const given = ArrayBuffer.isView(box) ? `${typeName(box)}(${corners.join(", ")})` : (JSON.stringify(box) ?? String(box));
    throw new UmedsamError("invalid-box", `${given}; use { box: [x0, y0, x1, y1] }`);
  }
  return corners as number[];
}

function checkedList<T>(what: string, list: readonly T[], keys: Readonly<Record<string, Check>>, shape: string): readonly T[] {
  if (!Array.isArray(list)) throw new UmedsamError("invalid-prompt", `${what} is ${show(list)}; use an array of ${shape}`);
  for (const item of list as readonly T[]) {
    checkOptions(what, item ?? null, keys, "invalid-prompt");
    const missing = Object.keys(keys).find((key) => key !== "label" && (item as Record<string, unknown>)[key] === undefined);
    if (missing !== undefined) throw new UmedsamError("invalid-prompt", `${what}.${missing} is missing in ${show(item)}; use ${shape}`);
  }
  return list;
}

function copiedPoint({ x, y, label = "foreground" }: Point): Point {
  return { x, y, label };
}

function copiedScribble({ points, label = "foreground" }: Scribble): Scribble {
  return { points: points.map(([x, y]) => [x, y]), label };
}

function checkedPrevious(previous: NonNullable<Prompt["previous"]>, { width, height }: Size): NonNullable<PromptMessage["previous"]> {
  if (ArrayBuffer.isView(previous)) {
    if (!["Uint8Array", "Uint8ClampedArray"].includes(typeName(previous)) || previous.length !== width * height) {
      throw new UmedsamError(
        "invalid-prompt",
        `previous is a ${typeName(previous)} of ${previous.length} values; use a Uint8Array of ${width * height} (${width}×${height}), or lowRes of a result`,
      );
    }
    return { mask: Uint8Array.from(previous) };
  }
  const { logits, crop } = previous as Partial<LowResMask>;
  if (typeName(logits) !== "Float32Array") {
    throw new UmedsamError("invalid-prompt", `previous is ${show(previous)}; use lowRes of a result, or a Uint8Array of ${width * height} values`);
  }
  return { logits: Float32Array.from(logits as Float32Array), crop: crop ?? null };
}
