/** What is used of OpenSeadragon 4 to 6 and of Annotorious 3: neither is imported, both are passed in. */

export interface OsdPoint {
  x: number;
  y: number;
}

/** `OpenSeadragon` itself. */
export interface OsdModule {
  readonly Point: new (x?: number, y?: number) => OsdPoint;
  readonly Tile: new (...options: never[]) => object;
  readonly TileSource: { readonly prototype: object };
  readonly ImageTileSource: new (...options: never[]) => object;
  readonly IIIFTileSource: new (...options: never[]) => object;
  /** Since version 6. */
  readonly converter?: object;
}

/** Of version 6. */
export interface OsdConverter {
  convert(tile: object, data: unknown, from: string | undefined, to: "context2d"): Promise<CanvasRenderingContext2D | undefined>;
}

/** An image in the viewer's world. */
export interface OsdTiledImage {
  readonly source: object;
  getContentSize(): OsdPoint;
  getOpacity(): number;
  getFlip(): boolean;
  imageToViewportCoordinates(x: number, y: number, current?: boolean): OsdPoint;
  viewportToImageCoordinates(x: number, y: number, current?: boolean): OsdPoint;
}

interface OsdWorld {
  getItemCount(): number;
  getItemAt(index: number): OsdTiledImage | undefined;
  addHandler(name: string, handler: never): unknown;
  removeHandler(name: string, handler: never): unknown;
}

interface OsdViewport {
  getContainerSize(): OsdPoint;
  getFlip(): boolean;
  pixelFromPoint(point: OsdPoint, current?: boolean): OsdPoint;
  pointFromPixel(pixel: OsdPoint, current?: boolean): OsdPoint;
}

export interface OsdViewer {
  readonly canvas: HTMLElement;
  readonly viewport: OsdViewport;
  readonly world: OsdWorld;
  addHandler(name: string, handler: never): unknown;
  removeHandler(name: string, handler: never): unknown;
  addOverlay(options: { element: HTMLElement; location: never; onDraw: () => void }): unknown;
  removeOverlay(element: HTMLElement): unknown;
}

/** An annotator of `@annotorious/openseadragon`. */
export interface Annotorious {
  addAnnotation(annotation: never): void;
}

/** Whatever gives tiles, with what some kinds have beside. */
export interface OsdTileSource {
  readonly dimensions: OsdPoint;
  readonly minLevel: number;
  readonly maxLevel: number;
  readonly tileOverlap: number;
  getLevelScale(level: number): number;
  getTileWidth(level: number): number;
  getTileHeight(level: number): number;
  getTileBounds(level: number, x: number, y: number, isSource?: boolean): object;
  getTileUrl(level: number, x: number, y: number): string | (() => string);
  getTilePostData(level: number, x: number, y: number): unknown;
  getTileAjaxHeaders(level: number, x: number, y: number): object | null;
  getTileHashKey(level: number, x: number, y: number, url: unknown, headers: unknown, postData: unknown): unknown;
  tileExists(level: number, x: number, y: number): boolean;
  downloadTileStart(job: object): void;
  /** Of versions 4 and 5, where tiles of one's own kind become pictures. */
  createTileCache?(cache: object, data: unknown, tile: object): void;
  getTileCacheDataAsContext2D?(cache: object): CanvasRenderingContext2D;
}

/** Of a IIIF source. */
export interface OsdIiifSource extends OsdTileSource {
  readonly _id: string;
  readonly version?: number;
  readonly profile?: unknown;
  readonly tileQuality?: string;
  readonly tileFormat: string;
  readonly emulateLegacyImagePyramid?: boolean;
}

/** How a tiled image asks for its tiles. */
export interface OsdRequests {
  readonly loadTilesWithAjax?: boolean;
  readonly ajaxHeaders?: object | null;
  readonly ajaxWithCredentials?: boolean;
  readonly crossOriginPolicy?: string | false | null;
}
