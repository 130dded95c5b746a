/** Files kept between visits, in the browser's Cache API: by what they are for and their hash, checked when they are read. */

/** A file to be kept. */
export interface KeptFile {
  /** What it is for: when another hash is kept for the same, this one goes. */
  readonly role: string;
  /** Its SHA-256 in lower-case hexadecimal, where it is known beforehand; else whatever was kept for the role is taken. */
  readonly sha256?: string | undefined;
}

const CACHE = "umedsam";
const HASH_HEADER = "x-umedsam-sha256";

/** A name in the cache, which takes web addresses only; nothing is fetched from there. */
function nameOf({ role, sha256 }: KeptFile): string {
  return `https://umedsam.invalid/${encodeURIComponent(role)}/${sha256 ?? ""}`;
}

/** The cache, unless the browser has none here: outside of secure contexts, in some private windows, or where a policy forbids storage. */
async function open(): Promise<Cache | undefined> {
  try {
    return await globalThis.caches?.open(CACHE);
  } catch {
    return undefined;
  }
}

/** What was kept, if it is still what it was. */
export async function kept(file: KeptFile): Promise<ArrayBuffer | undefined> {
  const cache = await open();
  try {
    const response = await cache?.match(nameOf(file));
    if (cache === undefined || response === undefined) return undefined;
    const bytes = await response.arrayBuffer();
    const sha256 = await hashOf(bytes);
    if (sha256 === response.headers.get(HASH_HEADER) && (file.sha256 === undefined || sha256 === file.sha256)) return bytes;
    await cache.delete(nameOf(file));
  } catch {
    // As if nothing were there: the network has it.
  }
  return undefined;
}

/** Keeps a file, in place of others for the same; where there is no room, nothing is kept. */
export async function keep(file: KeptFile, bytes: ArrayBuffer | Uint8Array<ArrayBuffer>, type = "application/octet-stream"): Promise<void> {
  const cache = await open();
  if (cache === undefined) return;
  const name = nameOf(file);
  const others = nameOf({ role: file.role });
  try {
    for (const { url } of await cache.keys()) {
      if (url.startsWith(others) && url !== name) await cache.delete(url);
    }
    const headers = { "content-type": type, [HASH_HEADER]: await hashOf(bytes) };
    await cache.put(name, new Response(bytes, { headers }));
  } catch {
    await cache.delete(name).catch(() => {});
  }
}

/** Forgets what was kept for a role. */
export async function forget(role: string): Promise<void> {
  const cache = await open();
  try {
    for (const { url } of (await cache?.keys()) ?? []) {
      if (url.startsWith(nameOf({ role }))) await cache?.delete(url);
    }
  } catch {
    // It will be checked when it is read.
  }
}

/**
 * Forgets everything that `cache: "persistent"` kept on this origin.
 *
 * @returns Whether anything was kept.
 */
export async function clearCache(): Promise<boolean> {
  try {
    return (await globalThis.caches?.delete(CACHE)) ?? false;
  } catch {
    return false;
  }
}

/** SHA-256 in lower-case hexadecimal. Needs a secure context. */
export async function hashOf(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
