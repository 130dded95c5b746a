/** Addresses as a caller writes them. */

import { UmedsamError } from "./errors.js";

/** A folder's address, which ends in a slash. */
export function folderUrl(given: string | URL): URL {
  const address = String(given);
  return absolute(address.endsWith("/") ? address : `${address}/`, "baseUrl", "the address of a folder");
}

/**
 * An address, relative to the page.
 *
 * @throws {UmedsamError} `invalid-option` that names the option.
 */
export function absolute(given: string | URL, option: string, use = "an address"): URL {
  try {
    return new URL(given, globalThis.location?.href);
  } catch (cause) {
    throw new UmedsamError("invalid-option", `${option} is ${JSON.stringify(String(given))}; use ${use}`, { cause });
  }
}
