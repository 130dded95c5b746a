/** Slices of a viewport: which one a place is on, and what the network is to see of it. */

import { UmedsamError } from "../../errors.js";
import { type Axis, type Geometry, type Plane, type Turn, axesOf, placeOf, planeOf, stepOf, turnOf } from "../../geometry.js";
import type { ImageInput, PixelArray, Window } from "../../types.js";
import type { ViewedSlice } from "../session.js";
import { type CoreImage, type Point3, type StackViewport, type ViewedImage, type Viewer, type VolumeViewport, valuesOf } from "./modules.js";

/** Where a mask is: an image of a stack, or a slice of a volume across one of its stored axes, counted from 0. */
export type CornerstonePlace =
  | { readonly viewportId: string; readonly imageId: string }
  | { readonly viewportId: string; readonly volumeId: string; readonly plane: Plane; readonly slice: number };

/** A slice, upright for the network. */
export interface CornerstoneSlice extends ViewedSlice {
  readonly place: CornerstonePlace;
  /** From the stored slice to the upright picture. */
  readonly turn: Turn;
  /** Where the slice's image, or the volume, is. */
  readonly geometry: Geometry;
  readonly axis: Axis;
  /** Along `axis`; 0 of a stack's image. */
  readonly index: number;
  /** Images of the volume by their place in it; the one image of a stack's slice. */
  readonly images: readonly string[];
  readonly window: Window;
}

/** Cosine of the angle by which a slice may be off a stored axis: less than a voxel across an image of 512 pixels. */
const ALIGNED = 1 - 1e-5;

/** Neighbours that are encoded beforehand, the first one first. */
const NEIGHBOURS = [0, 1, -1, 2, -2];

export class Slices {
  readonly #viewer: Viewer;

  constructor(viewer: Viewer) {
    this.#viewer = viewer;
  }

  get #stack(): StackViewport | undefined {
    const { viewport } = this.#viewer;
    return viewport.type === "stack" ? (viewport as StackViewport) : undefined;
  }

  /** The images that the viewport shows. */
  get images(): readonly string[] {
    const { viewport, core } = this.#viewer;
    return this.#stack?.getImageIds() ?? core.cache.getVolume((viewport as VolumeViewport).getVolumeId())?.imageIds ?? [];
  }

  /** The volume that the viewport shows; none of a stack. */
  get volumeId(): string | undefined {
    return this.#stack === undefined ? (this.#viewer.viewport as VolumeViewport).getVolumeId() : undefined;
  }

  /**
   * The slice that a place of the world is on, as it is shown now.
   *
   * @throws {UmedsamError} `invalid-image` where nothing is shown, or a slice that lies askew.
   */
  at(world: Point3): CornerstoneSlice {
    const viewed = this.#viewed;
    if (this.#stack !== undefined) return this.ofStack(this.#stack.getCurrentImageId(), this.#window);
    const geometry = geometryOf(viewed);
    const axis = this.#axis(geometry);
    const [, , count] = geometry.size;
    if (this.images.length !== count) {
      throw new UmedsamError("invalid-image", `the volume has ${this.images.length} images for ${count} slices; only volumes of one time can be read`);
    }
    const index = Math.round(viewed.imageData.worldToIndex(world as never)[axis] as number);
    return this.ofVolume(geometry, axis, Math.min(Math.max(index, 0), geometry.size[axis] - 1), this.#window);
  }

  /** Places of the world as columns and rows of a slice, from the outer corner of its first pixel. */
  points(slice: CornerstoneSlice, world: readonly Point3[]): readonly (readonly [number, number])[] {
    const { imageData } = this.#viewed;
    const [a, b] = axesOf(slice.axis);
    return world.map((point) => {
      const index = imageData.worldToIndex(point as never);
      return [(index[a] as number) + 0.5, (index[b] as number) + 0.5] as const;
    });
  }

  /** The slice in view and its neighbours, those that are loaded. */
  inView(): CornerstoneSlice[] {
    const { viewport, core } = this.#viewer;
    const window = this.#window;
    if (this.#stack !== undefined) {
      const ids = this.#stack.getImageIds();
      const current = ids.indexOf(this.#stack.getCurrentImageId());
      const near = NEIGHBOURS.map((step) => ids[current + step]).filter((id) => id !== undefined && core.cache.getImage(id) !== undefined);
      return near.map((id) => this.ofStack(id as string, window));
    }
    const middle = this.at(viewport.getCamera().focalPoint as Point3);
    if (middle.images.some((id) => core.cache.getImage(id) === undefined)) return [];
    const near = NEIGHBOURS.map((step) => middle.index + step).filter((index) => index >= 0 && index < middle.geometry.size[middle.axis]);
    return near.map((index) => this.ofVolume(middle.geometry, middle.axis, index, window));
  }

  /** Loads images whose size is not known yet. */
  async loaded(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      if (this.plane(id)?.rows === undefined) await this.#load(id);
    }
  }

  get #viewed(): ViewedImage {
    const { viewport } = this.#viewer;
    const viewed = viewport.getImageData();
    if (viewed === undefined) throw new UmedsamError("invalid-image", `the viewport ${viewport.id} shows no image; set a stack or volumes first`);
    return viewed;
  }

  get #window(): Window {
    const { voiRange } = this.#viewer.viewport.getProperties();
    if (voiRange === undefined || !(voiRange.upper > voiRange.lower)) return "auto";
    return { center: (voiRange.lower + voiRange.upper) / 2, width: voiRange.upper - voiRange.lower };
  }

  #axis(geometry: Geometry): Axis {
    const normal = this.#viewer.viewport.getCamera().viewPlaneNormal ?? [0, 0, 1];
    const axis = ([0, 1, 2] as const).find((candidate) => {
      const step = stepOf(geometry, candidate);
      const along = step[0] * (normal[0] as number) + step[1] * (normal[1] as number) + step[2] * (normal[2] as number);
      return Math.abs(along) >= ALIGNED * Math.hypot(...step) * Math.hypot(...normal);
    });
    if (axis === undefined) {
      const message = "the viewport shows a slice that lies askew in the volume; use the acquisition's own orientation, or one along its rows or columns";
      throw new UmedsamError("invalid-image", message);
    }
    return axis;
  }

  /** A slice of the volume in view. */
  ofVolume(geometry: Geometry, axis: Axis, index: number, window: Window, images = this.images): CornerstoneSlice {
    const { viewport } = this.#viewer;
    const volumeId = this.volumeId as string;
    const place = { viewportId: viewport.id, volumeId, plane: planeOf(geometry, axis), slice: index };
    return this.#slice(`${volumeId}|${axis}|${index}`, place, geometry, axis, index, images, window);
  }

  /** A slice of a stack. */
  ofStack(imageId: string, window: Window): CornerstoneSlice {
    const plane = this.plane(imageId);
    const { rows = 0, columns = 0 } = this.#viewer.core.cache.getImage(imageId) ?? plane ?? {};
    const geometry = geometryOf({
      dimensions: [columns, rows, 1],
      spacing: [plane?.columnPixelSpacing || 1, plane?.rowPixelSpacing || 1, 1],
      origin: plane?.imagePositionPatient ?? [0, 0, 0],
      direction: directionOf(plane),
    });
    return this.#slice(imageId, { viewportId: this.#viewer.viewport.id, imageId }, geometry, 2, 0, [imageId], window);
  }

  #slice(name: string, place: CornerstonePlace, geometry: Geometry, axis: Axis, index: number, images: readonly string[], window: Window): CornerstoneSlice {
    const turn = turnOf(geometry, axis);
    const key = `${name}|${JSON.stringify(window)}`;
    const image = async (): Promise<ImageInput> => {
      const { values, channels } = await this.#read(geometry, axis, index, images);
      const data = turn.turned(values, values.slice(), channels);
      const [width, height] = turn.size;
      return { data, width, height, channels, ...(channels === 1 ? { window } : {}), ...(this.#isInverted(images[0] as string) ? { invert: true } : {}) };
    };
    return { key, image, place, turn, geometry, axis, index, images, window };
  }

  async #read({ size }: Geometry, axis: Axis, index: number, images: readonly string[]): Promise<{ values: PixelArray; channels: 1 | 3 | 4 }> {
    const [columns, rows, count] = size;
    const first = valuesOf(await this.#load(images[axis === 2 ? index : 0] as string));
    const channels = first.length / (columns * rows);
    if (channels !== 1 && channels !== 3 && channels !== 4) {
      throw new UmedsamError("invalid-image", `the image has ${first.length} values for ${columns}×${rows} pixels; only grey, RGB and RGBA can be read`);
    }
    if (axis === 2) return { values: first, channels };
    const [length, step, begin] = axis === 1 ? [columns, 1, index * columns] : [rows, columns, index];
    const values = new (first.constructor as new (length: number) => PixelArray)(length * count * channels);
    for (let slice = 0; slice < count; slice++) {
      const stored = valuesOf(await this.#load(images[slice] as string));
      for (let pixel = 0; pixel < length; pixel++) {
        for (let channel = 0; channel < channels; channel++) {
          values[(slice * length + pixel) * channels + channel] = stored[(begin + pixel * step) * channels + channel] as number;
        }
      }
    }
    return { values, channels };
  }

  async #load(imageId: string): Promise<CoreImage> {
    const { cache, imageLoader } = this.#viewer.core;
    const cached = cache.getImage(imageId);
    if (cached?.voxelManager !== undefined) return cached;
    try {
      return await imageLoader.loadAndCacheImage(imageId);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String((cause as { error?: unknown })?.error ?? cause);
      throw new UmedsamError("invalid-image", `the image ${imageId} could not be read (${reason}); open its series again`, { cause });
    }
  }

  /** Where an image is, as far as it tells. */
  plane(imageId: string): ImagePlane | undefined {
    return this.#viewer.core.metaData.get("imagePlaneModule", imageId) as ImagePlane | undefined;
  }

  /** High values are dark in MONOCHROME1; what a person inverts to look at is not. */
  #isInverted(imageId: string): boolean {
    const pixels = this.#viewer.core.metaData.get("imagePixelModule", imageId) as { photometricInterpretation?: string } | undefined;
    return pixels?.photometricInterpretation === "MONOCHROME1";
  }
}

export interface ImagePlane {
  readonly rows?: number;
  readonly columns?: number;
  readonly rowCosines?: Point3 | null;
  readonly columnCosines?: Point3 | null;
  readonly imagePositionPatient?: Point3 | null;
  readonly rowPixelSpacing?: number | null;
  readonly columnPixelSpacing?: number | null;
}

function directionOf(plane: ImagePlane | undefined): readonly number[] {
  const [u, v] = [plane?.rowCosines ?? [1, 0, 0], plane?.columnCosines ?? [0, 1, 0]] as unknown as [number, number, number][];
  const [a, b] = [u as [number, number, number], v as [number, number, number]];
  return [...a, ...b, a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function geometryOf({ dimensions, spacing, origin, direction }: Omit<ViewedImage, "imageData">): Geometry {
  const at = (values: ArrayLike<number>, index: number) => values[index] as number;
  const line = (row: number) => [0, 1, 2].map((axis) => at(direction, 3 * axis + row) * at(spacing, axis)).concat(at(origin, row));
  return { size: [at(dimensions, 0), at(dimensions, 1), at(dimensions, 2)], affine: [...line(0), ...line(1), ...line(2), 0, 0, 0, 1] };
}

/** Where a pixel of the upright picture is, its coordinates from the outer corner of the first one. */
export function worldOf({ geometry, turn, axis, index }: CornerstoneSlice, x: number, y: number): Point3 {
  const [a, b] = axesOf(axis);
  const [across, down] = turn.storedBox([x, y, x, y]);
  const voxel: [number, number, number] = [index, index, index];
  voxel[a] = across - 0.5;
  voxel[b] = down - 0.5;
  return placeOf(geometry, voxel);
}
