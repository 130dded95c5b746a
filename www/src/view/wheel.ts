/** Turns of a wheel as steps through slices. */

/** A turn of at least so many pixels is a notch of a mouse; less comes from a touch pad, and is gathered. */
const NOTCH = 50;
const GATHERED = 30;
/** Turns that are this much later begin anew, in ms. */
const PAUSE = 300;

/** CSS pixels of a turn: mice count in lines and pages, touch pads in pixels. */
export function pixelsOf({ deltaY, deltaMode }: WheelEvent): number {
  return deltaY * ([1, 24, 240][deltaMode] ?? 1);
}

export class WheelSteps {
  #gathered = 0;
  #last = 0;

  /** The slices to go on by. */
  steps(event: WheelEvent): number {
    const pixels = pixelsOf(event);
    if (event.timeStamp - this.#last > PAUSE) this.#gathered = 0;
    this.#last = event.timeStamp;
    if (Math.abs(pixels) >= NOTCH) return Math.sign(pixels) * Math.max(1, Math.round(Math.abs(pixels) / 120));
    this.#gathered += pixels;
    if (Math.abs(this.#gathered) < GATHERED) return 0;
    const step = Math.sign(this.#gathered);
    this.#gathered = 0;
    return step;
  }
}
