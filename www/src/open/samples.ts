/** The images that come with the page. */

import type { Box } from "../../umedsam/index.js";

export interface Sample {
  readonly name: string;
  readonly file: string;
  readonly box?: Box;
  /** Of a volume: the slice that the box is on, from 0. */
  readonly slice?: number;
  /** Where the image comes from, and its licence. */
  readonly credit: string;
}

export async function loadSamples(): Promise<Sample[]> {
  const response = await fetch("samples/samples.json");
  if (!response.ok) throw new Error(`samples/samples.json: HTTP ${response.status}`);
  return (await response.json()) as Sample[];
}

export async function fetchSample(sample: Sample): Promise<Blob> {
  const response = await fetch(`samples/${sample.file}`);
  if (!response.ok) throw new Error(`samples/${sample.file}: HTTP ${response.status}`);
  return response.blob();
}
