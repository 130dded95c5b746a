/** Prompts as they come from JavaScript. */

import { UmedsamError } from "./errors.js";
import { typeName } from "./realms.js";
import type { BoxLike, Prompt } from "./types.js";
import { anything, checkOptions } from "./validate.js";

/**
 * Four numbers of each prompt.
 *
 * @throws {UmedsamError} `invalid-box`
 */
export function boxesOf(prompts: readonly Prompt[]): Float64Array {
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
