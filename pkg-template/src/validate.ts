/** Options as they come from JavaScript, where no compiler looked at them. */

import { type ErrorCode, UmedsamError } from "./errors.js";
import { typeName } from "./realms.js";

/** Says what is allowed if a value is not. */
export type Check = (value: unknown) => string | undefined;

export function oneOf(...allowed: readonly (string | boolean)[]): Check {
  return (value) => (allowed.includes(value as string) ? undefined : allowed.map((name) => JSON.stringify(name)).join(", "));
}

export const flag: Check = (value) => (typeof value === "boolean" ? undefined : "true or false");

/** A finite number within bounds. */
export function number(low: number, high: number, of: "whole" | "any" = "any"): Check {
  const bounds = high === Number.POSITIVE_INFINITY ? `of ${low} or more` : `from ${low} to ${high}`;
  const allowed = `a ${of === "whole" ? "whole " : ""}number ${bounds}`;
  return (value) =>
    typeof value === "number" && value >= low && value <= high && (of === "any" || Number.isInteger(value)) ? undefined : allowed;
}

/** A number between bounds, which it may not be. */
export function between(low: number, high: number): Check {
  return (value) => (typeof value === "number" && value > low && value < high ? undefined : `a number between ${low} and ${high}`);
}

export const callback: Check = (value) => (typeof value === "function" ? undefined : "a function");

export const signal: Check = (value) => (typeName(value) === "AbortSignal" ? undefined : "an AbortSignal");

export const address: Check = (value) =>
  (typeof value === "string" && value !== "") || typeName(value) === "URL" ? undefined : "a URL or its text";

export function listOf(check: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) return `an array, each ${check(undefined) ?? "of the kind"}`;
    const wrong = value.map(check).find((allowed) => allowed !== undefined);
    return wrong === undefined ? undefined : `an array, each ${wrong}`;
  };
}

/** Anything: what it is for says more. */
export const anything: Check = () => undefined;

/**
 * Refuses unknown keys and values that are not allowed; what is `undefined` is as if it were not there.
 *
 * @throws {UmedsamError} that names the option, its value and what is allowed.
 */
export function checkOptions(what: string, options: unknown, checks: Readonly<Record<string, Check>>, code: ErrorCode = "invalid-option"): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new UmedsamError(code, `${what} is ${show(options)}; use an object with ${Object.keys(checks).join(", ")}`);
  }
  for (const [key, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, key) ? checks[key] : undefined;
    const name = what === "options" ? key : `${what}.${key}`;
    if (check === undefined) {
      throw new UmedsamError(code, `${name} is not known; use ${Object.keys(checks).join(", ")}`);
    }
    const allowed = value === undefined ? undefined : check(value);
    if (allowed !== undefined) throw new UmedsamError(code, `${name} is ${show(value)}; use ${allowed}`);
  }
}

/** A value as a person would write it, shortened. */
export function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint" || typeof value === "symbol") return String(value);
  if (typeof value === "object" && value !== null && !Array.isArray(value) && typeName(value) !== "Object") return typeName(value);
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = typeName(value);
  }
  // JSON has no NaN and no infinity.
  if (typeof value === "number") text = String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
