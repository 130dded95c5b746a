/** The page's elements, typed. */

export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`#${id} is not a ${type.name}`);
  return found;
}

export function context2d(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("this browser has no 2D canvas");
  return context;
}

export function milliseconds(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(0)} ms`;
}

/** Below this every browser draws on a canvas. */
const SAFE_SIDE = 4096;

/** @throws If this browser's canvases do not hold an image: beyond their limits, which differ, they draw nothing. */
export function checkCanvas(width: number, height: number): void {
  if (Math.max(width, height) <= SAFE_SIDE || holds(width, height)) return;
  throw new Error(`this browser shows no image of ${width}×${height} pixels; open a smaller one, or give this one to the command line`);
}

function holds(width: number, height: number): boolean {
  try {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context?.fillRect(width - 1, height - 1, 1, 1);
    return (context?.getImageData(width - 1, height - 1, 1, 1).data[3] ?? 0) > 0;
  } catch {
    return false;
  }
}
