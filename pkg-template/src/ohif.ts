/**
 * An extension and a mode for OHIF 3.13. An entry of its own (`umedsam/ohif`). They work in a viewer that is built already, by its `app-config.js`, and in a
 * site's own.
 *
 * @example
 * // app-config.js, with a copy of the package at /umedsam/
 * window.config = async () => {
 *   const { load } = await import("/umedsam/dist/index.js");
 *   const { umedsamExtension, umedsamMode } = await import("/umedsam/dist/ohif.js");
 *   return {
 *     extensions: [umedsamExtension({ model: (onProgress) => load({ onProgress }) })],
 *     modes: [umedsamMode()],
 *     // ...
 *   };
 * };
 *
 * @packageDocumentation
 */

import type { CornerstoneOptions } from "./cornerstone.js";
import type { Model } from "./model.js";
import type { Progress } from "./types.js";
import { extensionOf } from "./viewers/ohif/extension.js";
import type { OhifHost } from "./viewers/ohif/host.js";

export { type ErrorCode, UmedsamError } from "./errors.js";
export { type OhifMode, type UmedsamModeOptions, umedsamMode } from "./viewers/ohif/mode.js";

export interface UmedsamExtensionOptions extends Pick<CornerstoneOptions, "overlay" | "uncertainty" | "keep" | "preEncode"> {
  /** The model, or what loads it when "Segment by a box" is first pressed; after a failure the next press calls it again. */
  readonly model: Model | ((onProgress: (progress: Progress) => void) => Promise<Model>);
  /** Where the package's files are, as in `load`, for writers of files that a bundler does not find. */
  readonly baseUrl?: string | URL;
  /** What becomes of a DICOM SEG, to store it in an archive for instance; by default it goes to the browser's downloads. */
  readonly onSave?: (bytes: Uint8Array, name: string) => void | Promise<void>;
}

/** An extension as OHIF takes it in its configuration. */
export interface OhifExtension {
  readonly id: string;
  preRegistration(host: OhifHost): void;
  onModeEnter(): void;
  onModeExit(): void;
  getPanelModule(): { name: string; iconName: string; iconLabel: string; label: string; component: string }[];
  getToolbarModule(): { name: string; evaluate: () => { isActive: boolean } }[];
  getCommandsModule(): { defaultContext: string; definitions: Record<string, (options?: object) => unknown> };
}

/**
 * A panel with the objects, their expected DSC and the slices to check, and the commands behind "Segment by a box". Masks are segments of a segmentation
 * of OHIF's own list, one for each series. Enter, Escape, undo and redo are OHIF's own, which go to a mask that waits for being accepted first.
 *
 * @example
 * const extension = umedsamExtension({ model: (onProgress) => load({ onProgress }) });
 */
export function umedsamExtension(options: UmedsamExtensionOptions): OhifExtension {
  return extensionOf(options);
}
