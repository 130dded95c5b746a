/** What every adapter gives to the page that connected it. */

import type { UmedsamError } from "../errors.js";
import type { Segmentation } from "../types.js";
import type { VolumeSegmentation } from "../volume-segmentation.js";

/** An answer as a page wants to hear of it. `Place` is how the viewer names a slice. */
export interface ViewerResult<Place> {
  /** Where the mask is, wherever the viewer is by now. */
  readonly place: Place;
  /** As the slice lies upright; the viewer's own copy lies as its voxels do. */
  readonly segmentation: Segmentation;
  /** 0–1. */
  readonly expectedDsc: number;
  /** "Check this one"; `null` without calibration. */
  readonly needsReview: boolean | null;
  /** `false` of the quick answer of a single pass, `true` of the ensemble's, which has uncertainty and suggestions. */
  readonly isFinal: boolean;
}

/** Events by name. */
export interface ViewerEvents<Place> {
  /** The mask as it is now, after each answer, undo and redo. */
  result: ViewerResult<Place>;
  /** The network begins or ends to work for a person. */
  busy: boolean;
  /** What went wrong, in words for people; nothing was changed by it. */
  error: UmedsamError;
  /** A propagation goes on: slices that are done, and how many there are at most. */
  progress: { readonly done: number; readonly atMost: number };
  /** The mask was taken over (`true`) or thrown away. */
  settled: boolean;
  /** An undo led to nothing: no mask is shown any more. */
  cleared: undefined;
}

/** A viewer that segments. */
export interface ViewerConnection<Place> {
  /** Whether the viewer's tool prompts; off gives its mouse back to the viewer. */
  setActive(on: boolean): void;
  /** Answers the suggested click: whether that place is inside of the object. Nothing happens where nothing is suggested. */
  answer(isInside: boolean): void;
  /** Takes the mask over into the viewer's own object. */
  accept(): void;
  /** Throws the mask away. */
  reject(): void;
  /** Takes the last box, point or stroke back, before the mask is accepted; after it the viewer's own undo does. */
  undo(): void;
  redo(): void;
  /**
   * Follows the object from its slice through the volume, between two slices if a range is given, and writes it into the viewer's own object.
   *
   * @throws {UmedsamError} `invalid-option` without an object, `aborted` after `cancel()`.
   */
  propagate(range?: readonly [first: number, last: number]): Promise<VolumeSegmentation>;
  /** Ends a propagation; what was found stays. */
  cancel(): void;
  /** Calls a function at every event of a name, until the function that is returned is called. */
  on<Name extends keyof ViewerEvents<Place>>(name: Name, listener: (event: ViewerEvents<Place>[Name]) => void): () => void;
  /** Takes everything out of the viewer that `connect` put in, but for accepted masks. The model stays. */
  dispose(): void;
}
