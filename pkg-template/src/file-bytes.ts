/** Files as callers hand them over, for the entries that read files. */

import { UmedsamError } from "./errors.js";
import { typeName } from "./realms.js";

/** The error of a file that cannot be used. */
export function invalid(message: string, cause?: unknown): UmedsamError {
  return new UmedsamError("invalid-image", message, { cause });
}

/**
 * The bytes of a file.
 *
 * @throws {UmedsamError} `invalid-image` if it cannot be read, or is no file.
 */
export async function bytesOf(file: Blob | ArrayBuffer | ArrayBufferView | Response): Promise<Uint8Array> {
  switch (typeName(file)) {
    case "Blob":
    case "File":
    case "Response":
      try {
        return new Uint8Array(await (file as Blob | Response).arrayBuffer());
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new UmedsamError("invalid-image", `the file could not be read: ${message}`, { cause });
      }
    case "ArrayBuffer":
      return new Uint8Array(file as ArrayBuffer);
  }
  if (ArrayBuffer.isView(file)) return new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  throw new UmedsamError("invalid-image", `the file is ${typeName(file)}; use a File, Blob, Response, ArrayBuffer or typed array`);
}
