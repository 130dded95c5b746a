/** What is downloaded when, and what is kept. */

import { clearCache, defaultWeightsInfo, load, preload } from "umedsam";
import { area, failure } from "./disc.js";

/** What a load downloads, by part of the address. */
async function downloads(options, use = () => {}) {
  const seen = [];
  const own = globalThis.fetch;
  globalThis.fetch = (url, ...rest) => {
    seen.push(String(url));
    return own(url, ...rest);
  };
  const stages = new Set();
  let fromCache = false;
  try {
    const model = await load({
      device: "cpu",
      ...options,
      onProgress: (progress) => {
        stages.add(progress.stage);
        fromCache ||= progress.fromCache === true;
      },
    });
    const modules = (await model.requests()).filter((name) => name.includes(".wasm"));
    await use(model);
    model.dispose();
    const weights = seen.filter((name) => name.includes("safetensors"));
    return { weights: weights.length, modules: modules.length, fromCache, stages: [...stages].sort() };
  } finally {
    globalThis.fetch = own;
  }
}

async function kept() {
  await clearCache();
  const cache = "persistent";
  // What an earlier version kept.
  const old = await caches.open("umedsam");
  for (const role of ["weights", "module%20umedsam_relaxed_bg.wasm"]) await old.put(`https://umedsam.invalid/${role}/0123`, new Response("old"));
  const first = await downloads({ cache });
  const names = async () => (await old.keys()).map(({ url }) => url);
  const evicted = !(await names()).some((name) => name.endsWith("/0123"));
  const second = await downloads({ cache });
  // Somebody else wrote there.
  for (const name of await names()) await old.put(name, new Response("garbage", { headers: { "x-umedsam-sha256": "0" } }));
  const damaged = await downloads({ cache });
  // What cannot be used is not kept.
  const page = await failure(load({ cache, device: "cpu", weights: "index.html" }));
  const unusable = await failure(load({ cache, device: "cpu", weights: "disc.png" }));
  const rest = await names();
  const cleared = await clearCache();
  const again = await clearCache();
  const { open } = CacheStorage.prototype;
  CacheStorage.prototype.open = () => Promise.reject(new DOMException("private window", "SecurityError"));
  const forbidden = await downloads({ cache });
  CacheStorage.prototype.open = open;
  // This page's prototypes are not the worker's, which kept its module.
  const { put } = Cache.prototype;
  Cache.prototype.put = () => Promise.reject(new DOMException("no room", "QuotaExceededError"));
  await clearCache();
  const full = await downloads({ cache });
  Cache.prototype.put = put;
  return { first, second, damaged, evicted, page, unusable, rest: rest.length, cleared, again, forbidden, full };
}

/** A download of which the connection breaks, twice. */
async function broken({ version = true, forever = false }) {
  const asked = [];
  const own = globalThis.fetch;
  globalThis.fetch = async (url, options) => {
    const response = await own(url, options);
    if (!String(url).includes("safetensors")) return response;
    asked.push(new Headers(options?.headers).get("range"));
    if (!forever && asked.length > 2) return response;
    let left = 3_000_000;
    const breaking = new TransformStream({
      transform(chunk, controller) {
        left -= chunk.byteLength;
        if (left < 0) controller.error(new TypeError("network error"));
        else controller.enqueue(chunk);
      },
    });
    const headers = new Headers(response.headers);
    // Another file from time to time.
    if (!version) headers.set("etag", `"${asked.length}"`);
    return new Response(response.body.pipeThrough(breaking), { status: response.status, headers });
  };
  try {
    let disc;
    const failed = await failure(
      load({ device: "cpu" }).then(async (model) => {
        disc = await area(model);
        model.dispose();
      }),
    );
    return { asked: asked.map((range) => range !== null && /^bytes=[1-9]\d*-$/.test(range)), failed, disc };
  } finally {
    globalThis.fetch = own;
  }
}

async function ahead() {
  let first = 0;
  const own = globalThis.fetch;
  globalThis.fetch = (url, ...rest) => {
    first += String(url).includes("safetensors") ? 1 : 0;
    return own(url, ...rest);
  };
  await preload();
  globalThis.fetch = own;
  const taken = await downloads({}, async (model) => void (await area(model)));
  const next = await downloads({});
  return { first, taken, next, wrong: await failure(preload({ weights: "nothing.safetensors" })) };
}

export async function loading() {
  return {
    kept: await kept(),
    broken: await broken({}),
    changing: await broken({ version: false }),
    forever: await broken({ forever: true }),
    ahead: await ahead(),
    fresh: await downloads({ cache: false }),
    bytes: defaultWeightsInfo.bytes,
  };
}
