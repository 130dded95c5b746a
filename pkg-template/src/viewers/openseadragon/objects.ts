/** The objects that were prompted, one after the other, each with its place and its mask over the image. */

import type { Correction } from "../../annotation.js";
import { UmedsamError, toUmedsamError } from "../../errors.js";
import type { Model } from "../../model.js";
import type { Box, PointLabel, Segmentation } from "../../types.js";
import type { VolumeSegmentation } from "../../volume-segmentation.js";
import type { ViewerConnection, ViewerEvents } from "../connection.js";
import { Listeners } from "../listeners.js";
import { type Answer, PromptSession, type SessionOptions } from "../session.js";
import type { Polygon } from "./contours.js";
import { type Drawn, type Slice, Slices, featureOf, outcomeOf } from "./drawn.js";
import type { Feature } from "./features.js";
import { Geometry } from "./geometry.js";
import { Gestures } from "./gestures.js";
import type { Annotorious, OsdModule, OsdTiledImage, OsdViewer } from "./osd.js";
import { ObjectOverlay } from "./overlay.js";
import { type Place, area, holds, overlap, placeOf, toPlace } from "./place.js";

export interface ConnectionOptions extends SessionOptions {
  readonly overlay: "none" | "total" | "epistemic";
  readonly regionSize: number;
  readonly preEncode: boolean;
  readonly annotorious: Annotorious | undefined;
}

const COLORS = ["#4dd0e1", "#aed581", "#ff8a65", "#ba68c8", "#f06292", "#7986cb"];

/** What `connect` of `umedsam/openseadragon` gives. */
export class OpenSeadragonConnection implements ViewerConnection<Place> {
  readonly #osd: OsdModule;
  readonly #viewer: OsdViewer;
  readonly #options: ConnectionOptions;
  readonly #geometry: Geometry;
  readonly #gestures: Gestures;
  readonly #session: PromptSession<Slice>;
  readonly #listeners = new Listeners<ViewerEvents<Place>>();
  readonly #slices: Slices;
  #objects: Drawn[] = [];
  #count = 0;
  /** The object that points and strokes correct. */
  #current: Drawn | undefined;
  /** Objects wait for each other. */
  #last: Promise<void> = Promise.resolve();
  #pointLabel: "foreground" | "background" = "foreground";
  #isActive = false;
  #disposed = false;
  readonly #handlers: Readonly<Record<"viewer" | "world", Readonly<Record<string, (event: never) => void>>>>;

  /** @internal Use `connect`. */
  constructor(osd: OsdModule, viewer: OsdViewer, model: Model, options: ConnectionOptions) {
    this.#osd = osd;
    this.#viewer = viewer;
    this.#options = options;
    this.#geometry = new Geometry(osd, viewer);
    this.#slices = new Slices(osd);
    this.#gestures = new Gestures(viewer, {
      onBox: (box) => this.#drawn(box),
      onPoint: (x, y, isAlt) => this.#pointed(x, y, isAlt),
    });
    this.#session = new PromptSession<Slice>(model, options);
    this.#session.listeners.on("answer", (answer) => this.#answered(answer));
    this.#session.listeners.on("busy", (busy) => {
      this.#listeners.tell("busy", busy);
      if (!busy) this.#expect();
    });
    this.#session.listeners.on("error", (error) => this.#listeners.tell("error", error));
    const expect = () => this.#expect();
    this.#handlers = {
      viewer: { open: expect, "animation-finish": expect, resize: expect, "before-destroy": () => this.dispose() },
      world: { "add-item": expect, "remove-item": ({ item }: { item: OsdTiledImage }) => this.#forget(item) },
    };
    this.#listen("addHandler");
    this.setActive(true);
  }

  #listen(method: "addHandler" | "removeHandler"): void {
    for (const [target, handlers] of [
      [this.#viewer, this.#handlers.viewer],
      [this.#viewer.world, this.#handlers.world],
    ] as const) {
      for (const [name, handler] of Object.entries(handlers)) target[method](name, handler as never);
    }
  }

  setActive(on: boolean): void {
    if (this.#disposed) return;
    this.#isActive = on;
    this.#gestures.setActive(on);
    this.#expect();
  }

  /** What a click says without Alt; with Alt it says the other. Default `"foreground"`, inside of the object. */
  setPointLabel(label: "foreground" | "background"): void {
    this.#pointLabel = label;
  }

  /** The image that has most of a rectangle of the viewer, the topmost of several, and the rectangle in its pixels. */
  #find(rectangle: Box): { readonly image: OsdTiledImage; readonly box: Box } | undefined {
    const isPoint = rectangle[0] === rectangle[2] && rectangle[1] === rectangle[3];
    let most = 0;
    let found: { readonly image: OsdTiledImage; readonly box: Box } | undefined;
    for (const image of this.#geometry.images()) {
      const whole = this.#geometry.around(image, rectangle);
      const box = this.#geometry.boxOf(image, rectangle);
      const share = isPoint ? Number(whole[0] === box[0] && whole[1] === box[1]) : area(box) / area(whole);
      if (share > most) [most, found] = [share, { image, box }];
    }
    if (found === undefined) this.#fail("invalid-box", `${isPoint ? "a point" : "a box"} outside of the image says nothing; draw it over the image`);
    return found;
  }

  #fail(code: "invalid-box" | "invalid-prompt", message: string): void {
    this.#listeners.tell("error", new UmedsamError(code, message));
  }

  #drawn(rectangle: Box): void {
    if (area(rectangle) === 0) return this.#fail("invalid-box", "a box needs a width and a height; drag across the object");
    const { image, box } = this.#find(rectangle) ?? {};
    if (image === undefined || box === undefined) return;
    const last = this.#objects.at(-1);
    // Drawn once more, as people do who are not content.
    if (last?.box !== undefined && last.kept === undefined && last.slice.place.tiledImage === image && overlap(last.box, box) >= 0.5) this.reject();
    const place = placeOf(this.#osd, image, box, this.#geometry.viewOf(image), this.#options.regionSize);
    this.#begin(this.#object(place, box), { box: toPlace(place, box) });
  }

  #pointed(x: number, y: number, isAlt: boolean): void {
    const { image, box } = this.#find([x, y, x, y]) ?? {};
    if (image === undefined || box === undefined) return;
    const label: PointLabel = isAlt === (this.#pointLabel === "foreground") ? "background" : "foreground";
    const last = this.#objects.at(-1);
    const isOfLast = last !== undefined && last.kept === undefined && last.slice.place.tiledImage === image && holds(last.slice.place, box[0], box[1]);
    if (!isOfLast && label === "background") {
      this.#fail("invalid-prompt", "a point outside of an object needs the object: draw a box around it first, or click in it");
      return;
    }
    const place = isOfLast ? last.slice.place : placeOf(this.#osd, image, box, this.#geometry.viewOf(image), this.#options.regionSize);
    const object = isOfLast ? last : this.#object(place, undefined);
    const [pointX, pointY] = toPlace(place, box);
    const correction: Correction = { points: [{ x: pointX, y: pointY, label }] };
    if (object === this.#current) void this.#session.say(object.slice, correction);
    else this.#begin(object, correction);
  }

  #object(place: Place, box: Box | undefined): Drawn {
    const id = globalThis.crypto?.randomUUID?.() ?? `umedsam-${Date.now()}-${this.#count}`;
    const color = COLORS[this.#count % COLORS.length] as string;
    const overlay = new ObjectOverlay(this.#osd, this.#viewer, this.#geometry, place, box, color);
    const object = { id, name: `Object ${++this.#count}`, slice: this.#slices.of(place), box, overlay };
    this.#objects.push(object);
    return object;
  }

  /** An object begins when those before it have their answers; the one before it is kept. */
  #begin(object: Drawn, correction: Correction): void {
    this.#last = this.#last.then(async () => {
      if (!this.#objects.includes(object)) return;
      const before = this.#current;
      if (before !== undefined && before !== object) {
        // What was undone to nothing is no object.
        if (before.segmentation === undefined) this.#remove(before);
        else this.accept();
      }
      this.#current = object;
      await this.#session.say(object.slice, correction);
      if (object.isAnswered !== true) this.#remove(object);
    });
    this.#last = this.#last.catch((cause: unknown) => this.#listeners.tell("error", toUmedsamError(cause)));
  }

  #answered({ slice, segmentation, isFinal }: Answer<Slice>): void {
    const object = this.#current;
    if (object?.slice !== slice) return;
    object.isAnswered = true;
    this.#show(object, segmentation);
    const { expectedDsc, needsReview } = segmentation;
    this.#listeners.tell("result", { place: slice.place, segmentation, expectedDsc, needsReview, isFinal });
  }

  #show(object: Drawn, segmentation: Segmentation | undefined): void {
    object.segmentation = segmentation;
    object.overlay.show(segmentation, this.#options.overlay);
  }

  answer(isInside: boolean): void {
    const object = this.#current;
    const [suggestion] = object?.segmentation?.suggestions ?? [];
    if (object === undefined || suggestion === undefined) return;
    const point = { x: suggestion.x, y: suggestion.y, label: isInside ? ("foreground" as const) : ("background" as const) };
    void this.#session.say(object.slice, { points: [point] });
  }

  accept(): void {
    const object = this.#current;
    if (object?.segmentation === undefined) return;
    this.#session.end();
    this.#current = undefined;
    object.kept = outcomeOf(object.segmentation, object.slice.place);
    object.segmentation = undefined;
    object.overlay.settle();
    this.#annotate(object, object.kept.regions).catch((cause: unknown) => this.#listeners.tell("error", toUmedsamError(cause)));
    this.#listeners.tell("settled", true);
  }

  async #annotate({ id, name }: Drawn, regions: readonly Polygon[]): Promise<void> {
    const { annotorious } = this.#options;
    if (annotorious === undefined || regions.length === 0) return;
    const { annotationOf } = await import("./annotorious.js");
    annotorious.addAnnotation(annotationOf(id, name, regions) as never);
  }

  reject(): void {
    const object = this.#objects.at(-1);
    if (object === undefined || object.kept !== undefined) return;
    this.#remove(object);
    this.#listeners.tell("settled", false);
  }

  /** Takes an object out, accepted or not, by the `id` of its feature. An annotation of Annotorious stays. */
  remove(id: string): void {
    const object = this.#objects.find((drawn) => drawn.id === id);
    if (object !== undefined) this.#remove(object);
  }

  #remove(object: Drawn): void {
    object.overlay.remove();
    this.#objects = this.#objects.filter((other) => other !== object);
    if (this.#current !== object) return;
    this.#session.end();
    this.#current = undefined;
  }

  undo(): void {
    if (this.#session.canUndo) this.#stepped(this.#session.undo());
  }

  redo(): void {
    if (this.#session.canRedo) this.#stepped(this.#session.redo());
  }

  #stepped(answer: Answer<Slice> | undefined): void {
    if (answer !== undefined) return this.#answered(answer);
    if (this.#current !== undefined) this.#show(this.#current, undefined);
    this.#listeners.tell("cleared", undefined);
  }

  /** The objects, in the order in which they were drawn, but for those that have no mask. Those of an image that was closed are gone. */
  features(): Feature[] {
    return this.#objects.flatMap((object) => featureOf(object, this.#indexOf(object.slice.place.tiledImage)) ?? []);
  }

  #indexOf(image: OsdTiledImage): number {
    const { world } = this.#viewer;
    for (let index = 0; index < world.getItemCount(); index++) if (world.getItemAt(index) === image) return index;
    return -1;
  }

  /** @throws {UmedsamError} `invalid-option` always: an image has no slices. */
  async propagate(): Promise<VolumeSegmentation> {
    throw new UmedsamError("invalid-option", "an image has no slices to follow the object through; draw a box on every page, or use umedsam/propagation");
  }

  /** Nothing is propagated, so there is nothing to end. */
  cancel(): void {}

  on<Name extends keyof ViewerEvents<Place>>(name: Name, listener: (event: ViewerEvents<Place>[Name]) => void): () => void {
    return this.#listeners.on(name, listener);
  }

  /** The image was closed, and what is on it with it. */
  #forget(image: OsdTiledImage): void {
    for (const object of this.#objects.filter(({ slice }) => slice.place.tiledImage === image)) this.#remove(object);
  }

  /** What is in view is encoded while nothing else is to do. */
  #expect(): void {
    const [image] = this.#geometry.images();
    if (image === undefined || !this.#isActive || !this.#options.preEncode) return;
    const view = this.#geometry.viewOf(image);
    if (area(view) === 0) return;
    const middle = [(view[0] + view[2]) / 2, (view[1] + view[3]) / 2] as const;
    this.#session.expect([this.#slices.of(placeOf(this.#osd, image, [...middle, ...middle], view, this.#options.regionSize))]);
  }

  /** Takes everything out of the viewer; `features()` still gives the objects. Annotations of Annotorious stay, and so does the model. */
  dispose(): void {
    if (this.#disposed) return;
    this.setActive(false);
    this.#disposed = true;
    this.#listen("removeHandler");
    this.#session.dispose();
    this.#current = undefined;
    for (const { overlay } of this.#objects) overlay.remove();
    this.#listeners.clear();
  }
}
