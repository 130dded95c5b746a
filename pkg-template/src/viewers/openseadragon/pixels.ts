/** The pixels of a part of an image, from its tiles or by a request of the IIIF Image API, at one level of the pyramid; never from the viewer's canvas. */

import { UmedsamError } from "../../errors.js";
import { typeName } from "../../realms.js";
import type { OsdConverter, OsdIiifSource, OsdModule, OsdRequests, OsdTileSource } from "./osd.js";
import type { Place } from "./place.js";

/** The most pixels that are put together, 256 MB. */
const MAX_PIXELS = 2 ** 26;
const TIMEOUT_MS = 60_000;
const CORS = `images of another server are read only if it allows ${location.origin} to (CORS: the header Access-Control-Allow-Origin)`;

type Picture = HTMLImageElement | HTMLCanvasElement | ImageBitmap | OffscreenCanvas;
const DRAWABLE = ["HTMLImageElement", "HTMLCanvasElement", "ImageBitmap", "OffscreenCanvas"];

/**
 * Reads the part of the image that the network is to see.
 *
 * @throws {UmedsamError} `fetch-failed` for tiles that do not come, `invalid-image` for those that cannot be read, or a level that is too large.
 */
export async function readPlace(osd: OsdModule, place: Place): Promise<ImageData> {
  const { width, height, shrink } = place;
  const canvas = canvasOf(width * shrink, height * shrink, place);
  const source = place.tiledImage.source as OsdTileSource;
  const region = source instanceof osd.IIIFTileSource ? await requested(osd, place, source as OsdIiifSource) : undefined;
  let address: string;
  if (region !== undefined) {
    canvas.drawImage(region.picture, 0, 0, width * shrink, height * shrink);
    address = region.address;
  } else {
    address = await drawTiles(osd, place, source, canvas);
  }
  const shrunk = shrink === 1 ? canvas : canvasOf(width, height, place);
  if (shrunk !== canvas) {
    shrunk.imageSmoothingQuality = "high";
    shrunk.drawImage(canvas.canvas, 0, 0, width, height);
  }
  try {
    return shrunk.getImageData(0, 0, width, height);
  } catch (cause) {
    throw new UmedsamError("invalid-image", `the pixels of ${address || "the image"} may not be read: ${CORS}`, { cause });
  }
}

function canvasOf(width: number, height: number, { level }: Place): OffscreenCanvasRenderingContext2D {
  if (width * height > MAX_PIXELS) {
    const size = `${width}×${height} pixels of level ${level}, the coarsest that fits`;
    throw new UmedsamError("invalid-image", `the part around the box has ${size}; zoom in or draw a smaller box`);
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (context === null) throw new UmedsamError("invalid-image", `there is no canvas of ${width}×${height} pixels here`);
  return context;
}

/** The part by one request; `undefined` where the server answers tiles only. */
async function requested(osd: OsdModule, place: Place, source: OsdIiifSource) {
  const profile = String(Array.isArray(source.profile) ? source.profile[0] : source.profile);
  if (source.emulateLegacyImagePyramid === true || profile.includes("level0")) return undefined;
  const { x, y, width, height } = place.region;
  const { dimensions, tileQuality, tileFormat, version } = source;
  const part = [x, y, Math.min(width, dimensions.x - x), Math.min(height, dimensions.y - y)].map(Math.round);
  const quality = tileQuality ?? (version === 1 ? "native" : "default");
  const address = `${source._id}/${part.join(",")}/${place.width * place.shrink},/0/${quality}.${tileFormat}`;
  try {
    const tile = { url: address, postData: null, level: place.level, x: 0, y: 0 };
    return { picture: await download(osd, place, source, tile), address };
  } catch {
    return undefined;
  }
}

/** Draws the tiles, each without what it has in common with its neighbours. Returns the address of one. */
async function drawTiles(osd: OsdModule, place: Place, source: OsdTileSource, canvas: OffscreenCanvasRenderingContext2D): Promise<string> {
  const { level, shrink } = place;
  const scale = source.getLevelScale(level);
  const [tileWidth, tileHeight] = [source.getTileWidth(level), source.getTileHeight(level)];
  const left = Math.round((place.region.x * scale) / shrink) * shrink;
  const top = Math.round((place.region.y * scale) / shrink) * shrink;
  const right = Math.min(left + place.width * shrink, Math.ceil(source.dimensions.x * scale - 1e-6));
  const bottom = Math.min(top + place.height * shrink, Math.ceil(source.dimensions.y * scale - 1e-6));
  let address = "";

  const draw = async (column: number, row: number) => {
    const url = source.getTileUrl(level, column, row);
    const tile = { url: typeof url === "function" ? url() : url, postData: source.getTilePostData(level, column, row), level, x: column, y: row };
    address = tile.url;
    if (!source.tileExists(level, column, row)) throw new UmedsamError("fetch-failed", `the image has no tile ${column}, ${row} at level ${level}`);
    const picture = await download(osd, place, source, tile);
    const along = (index: number, size: number, from: number, to: number) => {
      const [first, last] = [Math.max(from, index * size), Math.min(to, (index + 1) * size)];
      return { at: first - from, length: last - first, begin: first - index * size + (index > 0 ? source.tileOverlap : 0) };
    };
    const x = along(column, tileWidth, left, right);
    const y = along(row, tileHeight, top, bottom);
    canvas.drawImage(picture, x.begin, y.begin, x.length, y.length, x.at, y.at, x.length, y.length);
  };

  const tiles: Promise<void>[] = [];
  for (let row = Math.floor(top / tileHeight); row * tileHeight < bottom; row++) {
    for (let column = Math.floor(left / tileWidth); column * tileWidth < right; column++) tiles.push(draw(column, row));
  }
  await Promise.all(tiles);
  return address;
}

interface TileRequest {
  readonly url: string;
  readonly postData: unknown;
  readonly level: number;
  readonly x: number;
  readonly y: number;
}

/** Lets the source download a tile as OpenSeadragon does, and makes a picture of it. */
function download(osd: OsdModule, { tiledImage }: Place, source: OsdTileSource, request: TileRequest): Promise<Picture> {
  const { level, x, y, url, postData } = request;
  const { loadTilesWithAjax = false, ajaxHeaders, ajaxWithCredentials, crossOriginPolicy } = tiledImage as OsdRequests;
  const headers = loadTilesWithAjax ? { ...ajaxHeaders, ...source.getTileAjaxHeaders(level, x, y) } : null;
  const key = source.getTileHashKey(level, x, y, url, headers, postData);
  const bounds = [source.getTileBounds(level, x, y), source.getTileBounds(level, x, y, true)];
  const options = [level, x, y, bounds[0], true, url, undefined, loadTilesWithAjax, headers, bounds[1], postData, key];
  const tile = new osd.Tile(...(options as never[]));
  // Without a policy the page may show foreign tiles but nobody may read them.
  const policy = crossOriginPolicy || (isForeign(url) ? "Anonymous" : false);
  // A simple image is in memory already, as it was loaded for showing.
  const starter = (source instanceof osd.ImageTileSource && isForeign(url) ? osd.TileSource.prototype : source) as OsdTileSource;

  return new Promise<Picture>((resolve, reject) => {
    const fail = (reason: unknown) => {
      clearTimeout(timer);
      const advice = isForeign(url) ? `; ${CORS}` : "";
      reject(new UmedsamError("fetch-failed", `${url || `tile ${x}, ${y} of level ${level}`} could not be loaded: ${String(reason)}${advice}`));
    };
    const timer = setTimeout(() => fail(`no answer in ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
    const finish = (data: unknown, _request: unknown, kind?: string) => {
      if (data === null || data === undefined) return fail(kind);
      clearTimeout(timer);
      pictureOf(osd, source, tile, data, kind).then(resolve, fail);
    };
    const job = {
      ...{ src: url, tile, source, postData, loadWithAjax: loadTilesWithAjax, ajaxHeaders: headers, ajaxWithCredentials, crossOriginPolicy: policy },
      ...{ userData: {}, finish, fail, abort: () => fail("it was aborted"), tries: 1, timeout: TIMEOUT_MS },
    };
    try {
      starter.downloadTileStart.call(source, job);
    } catch (cause) {
      fail(cause);
    }
  });
}

/** What a source gave, as something that can be drawn. */
async function pictureOf(osd: OsdModule, source: OsdTileSource, tile: object, data: unknown, kind: string | undefined): Promise<Picture> {
  const isDrawable = (value: unknown): value is Picture => DRAWABLE.includes(typeName(value));
  const ready = (data as Partial<CanvasRenderingContext2D>).canvas ?? data;
  if (isDrawable(ready)) return ready;
  if (data instanceof Blob) return createImageBitmap(data);
  const converter = osd.converter as OsdConverter | undefined;
  let context: CanvasRenderingContext2D | undefined;
  if (converter !== undefined) {
    context = await converter.convert(tile, data, kind, "context2d");
  } else {
    const cache = {};
    source.createTileCache?.(cache, data, tile);
    context = source.getTileCacheDataAsContext2D?.(cache);
  }
  if (context?.canvas === undefined) throw new Error(`tiles of the kind ${kind ?? typeof data} are no pictures`);
  return context.canvas;
}

function isForeign(url: string): boolean {
  const { origin, protocol } = new URL(url, document.baseURI);
  return protocol.startsWith("http") && origin !== location.origin;
}
