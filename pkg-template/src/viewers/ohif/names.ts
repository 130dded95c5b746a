/** Names by which the parts of the extension find each other in OHIF. */

/** Of the extension. */
export const EXTENSION = "umedsam";
/** Of the context of its commands. */
export const COMMANDS = "UMEDSAM";
/** Of the panel, and of its element. */
export const PANEL = "umedsam.panelModule.objects";
export const PANEL_ELEMENT = "umedsam-panel";
/** Of the button in the toolbar, its command and what tells its state. */
export const BUTTON = "UmedsamBox";
export const TOGGLE = "umedsamToggle";
export const EVALUATE = "evaluate.umedsam";
/** Of Cornerstone's tool. */
export const TOOL = "UmedsamBox";
/** OHIF's module that hands out its Cornerstone. */
export const CORNERSTONE = "@ohif/extension-cornerstone.utilityModule.common";
