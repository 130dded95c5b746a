/** What OHIF asks of an extension. */

import type { OhifExtension, UmedsamExtensionOptions } from "../../ohif.js";
import type { OhifCommands, OhifHost } from "./host.js";
import { COMMANDS, EVALUATE, EXTENSION, PANEL_ELEMENT, TOGGLE } from "./names.js";
import { definePanel } from "./panel.js";
import { Segmenting } from "./segmenting.js";

/** OHIF's commands of keys and buttons that go to a mask that waits for being accepted. */
const TAKEN = { acceptPreview: "accept", cancelActiveOperation: "reject", undo: "undo", redo: "redo" } as const;

export function extensionOf(options: UmedsamExtensionOptions): OhifExtension {
  let host: OhifHost;
  let segmenting: Segmenting;
  /** OHIF's own command of a name. */
  const own = (commands: OhifCommands, name: string) => commands.getCommand(name, commands.contextOrder.filter((context) => context !== COMMANDS));
  const taken = (Object.keys(TAKEN) as (keyof typeof TAKEN)[]).map((name) => [
    name,
    (given?: object) => (segmenting.isPending ? segmenting[TAKEN[name]]() : own(host.commandsManager, name)?.commandFn(given)),
  ]);
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
    getToolbarModule: () => [
      {
        name: EVALUATE,
        evaluate() {
          segmenting.noteTool();
          return { isActive: segmenting.isOn };
        },
      },
    ],
    getCommandsModule: () => ({ defaultContext: COMMANDS, definitions: { [TOGGLE]: () => segmenting.toggle(), ...Object.fromEntries(taken) } }),
  };
}
