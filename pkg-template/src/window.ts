/** Windows as the wasm libraries read them. */

import { UmedsamError } from "./errors.js";
import type { WindowMessage } from "./protocol.js";
import type { Window } from "./types.js";
import { show } from "./validate.js";

/** @throws {UmedsamError} `invalid-window` */
export function windowMessage(window: Window = "auto"): WindowMessage {
  if (window === "auto" || window === "min-max") return { kind: window };
  if (typeof window === "object" && window !== null) {
    if ("percentiles" in window) return { kind: "percentiles", low: window.percentiles[0], high: window.percentiles[1] };
    if ("center" in window) return { kind: "level", center: window.center, width: window.width };
  }
  throw new UmedsamError(
    "invalid-window",
    `window is ${show(window)}; use "auto", "min-max", { center, width } or { percentiles: [low, high] }`,
  );
}
