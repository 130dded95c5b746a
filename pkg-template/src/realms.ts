/** Types by name: objects of another realm, such as an iframe's, are no instances of this realm's classes. */

/** `"Uint8Array"`, `"ImageData"`, `"ArrayBuffer"`, `"Response"`, `"URL"`, `"null"`, `"string"`… */
export function typeName(value: unknown): string {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return value === null ? "null" : typeof value;
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}
