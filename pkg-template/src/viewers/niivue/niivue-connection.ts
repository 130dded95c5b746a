/** NiiVue and a model, connected. */

import type { Correction } from "../../annotation.js";
import { UmedsamError, toUmedsamError } from "../../errors.js";
import type { Model } from "../../model.js";
import type { PointLabel } from "../../types.js";
import { checkOptions, number, oneOf } from "../../validate.js";
import type { VolumeSegmentation } from "../../volume-segmentation.js";
import type { ViewerEvents } from "../connection.js";
import { Listeners } from "../listeners.js";
import { type Answer, PromptSession } from "../session.js";
import type { Doubt, Doubts } from "./doubts.js";
import type { Course, Current, Followed } from "./following.js";
import { DrawingLabels, type Labels, OverlayLabels } from "./labels.js";
import { type Drawn, PromptMouse } from "./mouse.js";
import { LabeledObject, asLabeled } from "./object.js";
import type { NiivueConnection, NiivueOptions } from "./options.js";
import { type NiivuePlace, type NiivueSlice, sliceAt, slicesInView } from "./slices.js";
import type { NiivueViewer, NiivueVolume, NiivueVolumes } from "./viewer.js";

const BUSY = "an object is being followed; wait for its end, or cancel() it";

export class Connected implements NiivueConnection {
  readonly #nv: NiivueViewer;
  readonly #session: PromptSession<NiivueSlice>;
  readonly #options: NiivueOptions;
  readonly #listeners = new Listeners<ViewerEvents<NiivuePlace>>();
  readonly #stop = new AbortController();
  readonly #labels: Labels;
  readonly #mouse: PromptMouse;
  readonly #volumes: NiivueVolumes;
  #doubts: Doubts | undefined;
  /** What is to be seen. */
  #doubt: Doubt | undefined;
  #label = 1;
  #pointLabel: PointLabel = "foreground";
  #current: Current | undefined;
  /** The current object is not in view: its frame is not. */
  #isHidden = false;
  #followed: Followed | undefined;
  /** Ends a propagation. */
  #following: AbortController | undefined;
  /** NiiVue's number of the plane that was used last. */
  #plane = 0;
  #expected = "";

  constructor(nv: NiivueViewer, volumes: NiivueVolumes, model: Model, canvas: HTMLCanvasElement, options: NiivueOptions) {
    this.#nv = nv;
    this.#options = options;
    this.#session = new PromptSession<NiivueSlice>(model, options);
    this.#labels = options.target === "overlay" ? new OverlayLabels(nv, volumes) : new DrawingLabels(nv);
    this.#volumes = volumes;
    this.setLabel(options.label ?? 1);
    const { listeners } = this.#session;
    listeners.on("answer", (answer) => this.#answered(answer));
    listeners.on("error", (error) => this.#listeners.tell("error", error));
    listeners.on("busy", (isBusy) => {
      this.#listeners.tell("busy", isBusy);
      if (!isBusy) this.#expect(true);
    });
    this.#mouse = new PromptMouse(nv, canvas, (drawn) => this.#drawn(drawn));
    const listen = <Detail>(type: string, listener: (detail: Detail) => void) =>
      nv.addEventListener(type, (event) => listener((event as CustomEvent<Detail>).detail), { signal: this.#stop.signal });
    listen<{ axCorSag?: number }>("locationChange", ({ axCorSag }) => {
      if (axCorSag !== undefined && axCorSag >= 0) this.#plane = axCorSag;
      this.#expect();
    });
    for (const type of ["imageLoaded", "volumeRemoved", "volumeUpdated", "frameChange"]) listen(type, () => this.#changed());
    listen<{ action: string }>("drawingChanged", ({ action }) => this.#drawingChanged(action));
    this.setActive(true);
  }

  setActive(on: boolean): void {
    if (this.#stop.signal.aborted) return;
    this.#mouse.setActive(on);
    this.#expect(true);
  }

  setLabel(label: number): void {
    checkOptions("options", { label }, { label: number(1, 254, "whole") });
    this.#label = label;
  }

  setPointLabel(label: PointLabel): void {
    checkOptions("options", { label }, { label: oneOf("foreground", "background") });
    this.#pointLabel = label;
  }

  answer(isInside: boolean): void {
    const { slice, segmentation } = this.#session.answer ?? {};
    const [suggestion] = segmentation?.suggestions ?? [];
    if (slice === undefined || suggestion === undefined || this.#following !== undefined) return;
    const { x, y } = suggestion;
    this.#say(slice, { points: [{ x, y, label: isInside ? "foreground" : "background" }] });
  }

  accept(): void {
    const { slice, object, of } = this.#current ?? {};
    const answer = this.#session.answer;
    if (slice === undefined || object === undefined || answer === undefined || this.#following !== undefined || this.#isHidden) return;
    of?.found.put({ object: 0, slice: slice.place.slice, segmentation: asLabeled(slice, object, answer.segmentation) });
    of?.boxes.set(slice.place.slice, answer.segmentation.box);
    object.keep();
    this.#end(true);
  }

  /** Ends a propagation too; what that found stays. */
  reject(): void {
    if (this.#following === undefined) this.#throwAway();
    else this.cancel();
  }

  undo(): void {
    if (this.#following === undefined && this.#session.canUndo) this.#answered(this.#session.undo());
  }

  redo(): void {
    if (this.#following === undefined && this.#session.canRedo) this.#answered(this.#session.redo());
  }

  async propagate(range?: readonly [first: number, last: number]): Promise<VolumeSegmentation> {
    const { prompt } = this.#session.answer ?? {};
    const current = this.#current;
    if (this.#following !== undefined) throw new UmedsamError("invalid-option", BUSY);
    if (prompt === undefined || current === undefined || this.#isHidden) throw new UmedsamError("invalid-option", "there is no object; draw a box around one");
    const stop = new AbortController();
    this.#following = stop;
    this.#hideDoubts();
    const { alpha, delta, zoom } = this.#options;
    const course = {
      prompt,
      range,
      options: { alpha, delta, zoom } as Course["options"],
      signal: stop.signal,
      onProgress: (done: number, atMost: number) => this.#listeners.tell("progress", { done, atMost }),
      onBegin: (followed: Followed) => (this.#followed = followed),
      onPainted: () => this.#labels.show(),
    };
    try {
      return await this.#session.during(async () => (await import("./following.js")).follow(this.#session.model, current, course));
    } catch (cause) {
      const error = toUmedsamError(cause);
      if (error.code !== "aborted") this.#listeners.tell("error", error);
      throw error;
    } finally {
      this.#following = undefined;
      // Whatever went wrong, what was found stays, unless someone took it back.
      if (this.#current === current) {
        current.object.keep();
        if (this.#labels.values(current.slice.volume) !== undefined) this.#labels.commit();
        this.#end(true);
      }
      this.#expect(true);
    }
  }

  cancel(): void {
    this.#following?.abort();
  }

  on<Name extends keyof ViewerEvents<NiivuePlace>>(name: Name, listener: (event: ViewerEvents<NiivuePlace>[Name]) => void): () => void {
    return this.#listeners.on(name, listener);
  }

  dispose(): void {
    if (this.#stop.signal.aborted) return;
    this.#mouse.dispose();
    this.#stop.abort();
    this.reject();
    this.#listeners.clear();
    this.#hideDoubts();
    this.#session.dispose();
    this.#labels.dispose();
  }

  /** The volume that is segmented. */
  get #volume(): NiivueVolume | undefined {
    return this.#nv.volumes[this.#options.volume ?? 0];
  }

  #isInView({ volume, place }: NiivueSlice): boolean {
    return this.#volume === volume && volume.frame4D === place.frame;
  }

  #drawn({ plane, from, to, isClick, isOther }: Drawn): void {
    const volume = this.#volume;
    this.#plane = plane;
    const across = 2 - plane;
    const isBeside = [0, 1, 2].some((ras) => {
      const ends = [from[ras] ?? 0, to[ras] ?? 0];
      return ras !== across && (Math.max(...ends) <= 0 || Math.min(...ends) >= 1);
    });
    if (volume?.hdr == null || volume.img === undefined || isBeside) return;
    const problem = this.#following === undefined ? this.#problem(volume) : BUSY;
    if (problem !== undefined) {
      this.#listeners.tell("error", new UmedsamError("invalid-option", problem));
      return;
    }
    const middle = Float32Array.from([0, 1, 2], (ras) => ((from[ras] ?? 0) + (to[ras] ?? 0)) / 2);
    const slice = sliceAt(volume, plane, middle);
    const box = slice.box(from, to);
    const [x, y] = box;
    const other = this.#pointLabel === "foreground" ? "background" : "foreground";
    this.#say(slice, isClick ? { points: [{ x, y, label: isOther ? other : this.#pointLabel }] } : { box });
  }

  /** Why a volume cannot be segmented, in words. */
  #problem(volume: NiivueVolume): string | undefined {
    const [first = volume] = this.#nv.volumes;
    const grid = ({ hdr }: NiivueVolume) => JSON.stringify([hdr?.dims.slice(1, 4), hdr?.affine]);
    if (first === volume || grid(first) === grid(volume)) return undefined;
    return `volume ${this.#options.volume} lies on another grid than the first one, which NiiVue draws on; resample it, or show it first`;
  }

  /** A box, or a point on a slice where nothing is begun, begins an object; other points correct what is there. */
  #say(slice: NiivueSlice, correction: Correction): void {
    const { slice: index } = slice.place;
    const isPoint = correction.box === undefined;
    const isOf = ({ volume, place }: NiivueSlice) =>
      isPoint && volume === slice.volume && place.axis === slice.place.axis && place.frame === slice.place.frame;
    const upright = (mask: Uint8Array | undefined) => (mask === undefined ? {} : { mask: slice.turn.turned(mask, new Uint8Array(mask.length)) });
    const current = this.#current;
    if (current !== undefined && isOf(current.slice) && current.slice.place.slice === index && this.#labels.values(slice.volume) !== undefined) {
      this.#prompt(current, { ...correction, ...upright(current.object.edited(index)) });
      return;
    }
    this.#throwAway();
    const of = this.#followed !== undefined && isOf(this.#followed.slice) && this.#followed.object.mask(index) !== undefined ? this.#followed : undefined;
    this.#followed = of;
    if (of === undefined) {
      this.#prompt({ slice, object: new LabeledObject(this.#labels, this.#label), of }, correction);
      return;
    }
    const box = of.boxes.get(index);
    this.#prompt({ slice: of.slice.at(index), object: of.object, of }, { ...correction, ...(box == null ? {} : { box }), ...upright(of.object.mask(index)) });
  }

  #prompt(current: Current, correction: Correction): void {
    this.#current = current;
    this.#isHidden = false;
    this.#doubt = undefined;
    this.#doubts?.hideSuggestion();
    this.#labels.prepare(current.slice.volume).then(
      () => (this.#current === current ? this.#session.say(current.slice, correction) : undefined),
      (cause: unknown) => {
        if (this.#current === current) this.#end(false);
        this.#listeners.tell("error", new UmedsamError("computation-failed", `NiiVue takes no overlay: ${String(cause)}`, { cause }));
      },
    );
  }

  #answered(answer: Answer<NiivueSlice> | undefined): void {
    this.#show();
    if (answer === undefined) return this.#listeners.tell("cleared", undefined);
    const { slice, segmentation, isFinal } = answer;
    const { expectedDsc, needsReview } = segmentation;
    this.#listeners.tell("result", { place: slice.place, segmentation, expectedDsc, needsReview, isFinal });
  }

  /** Shows the current object as it is now, if its slice can be seen. */
  #show(): void {
    const { slice, object } = this.#current ?? {};
    const { segmentation, isFinal = false } = this.#session.answer ?? {};
    if (slice === undefined || object === undefined) return;
    this.#isHidden = !this.#isInView(slice);
    if (segmentation === undefined || this.#isHidden) {
      object.takeOff(slice.place.slice);
      this.#labels.takeBack();
      this.#hideDoubts();
      return;
    }
    const mask = slice.turn.turnedBack(segmentation.mask, new Uint8Array(segmentation.mask.length));
    if (object.paint(slice, mask)) this.#labels.commit();
    const { overlay = "total" } = this.#options;
    if (!isFinal) this.#hideDoubts();
    else this.#showDoubt({ slice, segmentation, overlay }).catch(reportError);
  }

  async #showDoubt(doubt: Doubt): Promise<void> {
    this.#doubt = doubt;
    const { Doubts } = await import("./doubts.js");
    if (this.#doubt === doubt) (this.#doubts ??= new Doubts(this.#nv, this.#volumes)).show(doubt);
  }

  #hideDoubts(): void {
    this.#doubt = undefined;
    this.#doubts?.hide();
  }

  #throwAway(): void {
    const { slice, object } = this.#current ?? {};
    if (slice === undefined || object === undefined) return;
    object.takeOff(slice.place.slice);
    this.#labels.takeBack();
    this.#end(false);
  }

  #end(isAccepted: boolean): void {
    this.#current = undefined;
    this.#labels.settle();
    this.#session.end();
    this.#hideDoubts();
    this.#listeners.tell("settled", isAccepted);
  }

  /** A volume was put in, taken out, shown through another window or in another frame. */
  #changed(): void {
    const { slice } = this.#current ?? {};
    if (slice !== undefined && this.#isHidden === this.#isInView(slice)) {
      if (this.#following !== undefined) this.cancel();
      else if (this.#volume === slice.volume) this.#show();
      else this.#throwAway();
    }
    this.#expect();
  }

  /** NiiVue's pen, undo or something else changed the drawing. */
  #drawingChanged(action: string): void {
    const { slice, object } = this.#current ?? {};
    const known = slice ?? this.#followed?.slice;
    if (this.#options.target === "overlay" || known === undefined) return;
    this.#labels.adopt(known.volume);
    if (action === "draw") return;
    this.#followed = undefined;
    if (object === undefined || slice === undefined || (action === "undo" && !object.isGone(slice.place.slice))) return;
    this.cancel();
    this.#end(false);
  }

  /** Has slices encoded that may be asked for. */
  #expect(again = false): void {
    const volume = this.#volume;
    if (this.#options.preEncode === false || !this.#mouse.isActive || this.#following !== undefined || volume?.img === undefined) return;
    const slices = slicesInView(this.#nv, volume, this.#plane);
    const expected = slices.map(({ key }) => key).join();
    if (expected === this.#expected && !again) return;
    this.#expected = expected;
    this.#session.expect(slices);
  }
}
