/** What answers are shown by; loaded with the first prompt. */

export { Preview } from "./labels.js";
export { Overlay } from "./overlay.js";
export { Segmentations } from "./segmentations.js";
