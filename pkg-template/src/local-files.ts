/** Files of this machine, in Node.js, whose `fetch` reads none. */

/** @throws If there is no such file, or no file system. */
export async function readFile(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  // By a name that no bundler resolves: browsers never come here.
  const module = "node:fs/promises";
  const { readFile } = (await import(/* webpackIgnore: true */ /* @vite-ignore */ module)) as {
    readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
  };
  return readFile(url);
}
