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

/** What browsers say of bytes after the end of what is packed: Chromium, Firefox and Safari. */
const AFTER_THE_END = /junk|after (the )?end|extra|trailing/i;

/**
 * What is packed in bytes. Files may be padded, DICOM's to an even length: what follows the end is left out, as other programs do.
 *
 * @throws What the browser says of bytes that are cut off or damaged.
 */
export async function inflated(bytes: Uint8Array, format: "gzip" | "deflate-raw"): Promise<Uint8Array> {
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  const reader = packed.pipeThrough(new DecompressionStream(format)).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) parts.push(part.value as Uint8Array<ArrayBuffer>);
  } catch (cause) {
    if (!(cause instanceof Error && AFTER_THE_END.test(cause.message)) || parts.length === 0) throw cause;
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
