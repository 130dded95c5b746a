/** What OHIF asks of an extension. */

import type { Model } from "../../model.js";
import type { OhifExtension, UmedsamExtensionOptions } from "../../ohif.js";
import { type Check, address, anything, callback, checkOptions, flag, number, oneOf } from "../../validate.js";
import type { OhifHost } from "./host.js";
import { COMMANDS, EVALUATE, EXTENSION, PANEL_ELEMENT, TOGGLE } from "./names.js";
import { definePanel } from "./panel.js";
import { Segmenting } from "./segmenting.js";

/** OHIF's commands by which a person chooses another tool. */
const LEAVING = ["setToolActive", "setToolActiveToolbar"];
/** OHIF's commands of keys and buttons that go to a mask that waits for being accepted. */
const TAKEN = { acceptPreview: "accept", undo: "undo", redo: "redo" } as const;

const isModel: Check = (value) =>
  typeof value === "function" || typeof (value as Partial<Model> | null)?.encode === "function" ? undefined : "a model, or a function that loads one";

const OPTIONS = {
  model: isModel,
  overlay: oneOf("none", "total", "epistemic"),
  uncertainty: anything,
  keep: number(1, Number.MAX_SAFE_INTEGER, "whole"),
  preEncode: flag,
  baseUrl: address,
  onSave: callback,
};

export function extensionOf(options: UmedsamExtensionOptions): OhifExtension {
  // Without a model there is nothing to be done.
  checkOptions("options", { ...options, model: (options as UmedsamExtensionOptions | undefined)?.model ?? null }, OPTIONS);
  let host: OhifHost;
  let segmenting: Segmenting;
  /** Runs OHIF's own command of a name. */
  const own = ({ commandsManager }: OhifHost, name: string, given?: object) =>
    commandsManager.getCommand(name, commandsManager.contextOrder.filter((context) => context !== COMMANDS))?.commandFn(given);
  const definitions: Record<string, (given?: object) => unknown> = { [TOGGLE]: () => segmenting.toggle() };
  for (const [name, step] of Object.entries(TAKEN)) {
    const isOurs = () => segmenting.isPending || (step === "redo" && segmenting.selected?.isUndone === true);
    definitions[name] = (given) => (isOurs() ? segmenting[step]() : own(host, name, given));
  }
  definitions.cancelActiveOperation = (given) => {
    segmenting.escape();
    // A drag may be under way too.
    return own(host, "cancelActiveOperation", given);
  };
  for (const name of LEAVING) {
    definitions[name] = (given) => {
      segmenting.leave();
      return own(host, name, given);
    };
  }
  return {
    id: EXTENSION,
    preRegistration(given) {
      host = given;
      segmenting = new Segmenting(host, options);
      definePanel(segmenting);
    },
    onModeEnter: () => segmenting.enter(),
    onModeExit: () => segmenting.exit(),
    getPanelModule: () => [{ name: "objects", iconName: "tool-rectangle", iconLabel: "umedsam", label: "umedsam", component: PANEL_ELEMENT }],
    getToolbarModule: () => [{ name: EVALUATE, evaluate: () => ({ isActive: segmenting.isOn }) }],
    getCommandsModule: () => ({ defaultContext: COMMANDS, definitions }),
  };
}
