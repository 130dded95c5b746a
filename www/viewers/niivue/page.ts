/** What the page has beside umedsam: NiiVue itself, files, views, pens. */

import { Niivue } from "@niivue/niivue";

/** An element of the page. */
export const at = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;

export function say(text: string, isWarning = false): void {
  at("status").textContent = text;
  at("status").classList.toggle("check", isWarning);
}

/** Says what went wrong, or that nothing does any more. */
export function fail(error?: unknown): void {
  at("error").hidden = error === undefined;
  at("error").textContent = error instanceof Error ? error.message : String(error ?? "");
}

/** NiiVue on the page's canvas, with the sample. Files are dropped on it, or chosen. */
export async function openNiivue(): Promise<Niivue> {
  const nv = new Niivue({ isRadiologicalConvention: true, isNearestInterpolation: true, crosshairWidth: 0.5, multiplanarShowRender: 0 });
  withoutDataUrls(nv);
  await nv.attachToCanvas(at<HTMLCanvasElement>("viewer"));
  nv.setMultiplanarLayout(2);
  nv.setDrawOpacity(0.5);
  await nv.loadVolumes([{ url: "../../samples/chest.nii.gz" }]).catch(fail);
  at<HTMLSelectElement>("view").onchange = ({ target }) => nv.setSliceType(Number((target as HTMLSelectElement).value));
  at<HTMLInputElement>("file").onchange = async ({ target }) => {
    const [file] = (target as HTMLInputElement).files ?? [];
    if (file === undefined) return;
    fail();
    nv.closeDrawing();
    nv.volumes = [];
    await nv.loadFromFile(file).catch(() => fail(`${file.name} cannot be opened; NiiVue reads .nii, .nii.gz, .nrrd, .mgz, .mha`));
  };
  return nv;
}

/** NiiVue has its font and the light of its renderings as `data:` URLs, which this page's policy forbids; they are files beside it, too. */
function withoutDataUrls(nv: Niivue): void {
  const font = new URL("../node_modules/@niivue/niivue/src/fonts/Roboto-Regular.png", import.meta.url).href;
  const light = new URL("../node_modules/@niivue/niivue/src/matcaps/Shiny.jpg", import.meta.url).href;
  Object.assign(nv, { DEFAULT_FONT_GLYPH_SHEET: font, loadDefaultMatCap: () => nv.loadMatCapTexture(light) });
}

/** For the browser's console, and for tests. */
export function expose(names: object): void {
  const readNifti = async (file: ArrayBufferView) => (await import("umedsam/nifti")).readNifti(file);
  Object.assign(window, names, { readNifti });
}

/** Gives the left button to prompts, whose clicks are inside or outside, to NiiVue's pen or eraser, or to its crosshair. */
export function onTool(nv: Niivue, choose: (isPrompting: boolean, clicks: "foreground" | "background") => void): void {
  at<HTMLSelectElement>("tool").onchange = ({ target }) => {
    const { value } = target as HTMLSelectElement;
    choose(value === "inside" || value === "outside", value === "outside" ? "background" : "foreground");
    nv.setDrawingEnabled(value === "draw" || value === "erase");
    nv.setPenValue(value === "draw" ? Number(at<HTMLInputElement>("label").value) : 0);
  };
}

/** Runs what buttons and keys are for. */
export function onCommands(commands: Record<string, () => unknown>, keys: Record<string, string>): void {
  for (const [id, command] of Object.entries(commands)) at(id).onclick = command;
  addEventListener("keydown", ({ key, target }) => {
    const isOthers = target instanceof HTMLInputElement || (target instanceof HTMLButtonElement && key === "Enter");
    if (!isOthers) commands[keys[key] ?? ""]?.();
  });
}
