/** DICOM's transfer syntaxes and the kinds of objects that hold no images, by their UIDs (PS3.6, annex A). */

/** How a file's pixels are stored. */
export type Coding = "native" | "rle" | "jpeg" | "jpeg-12bit" | "jpeg-lossless" | "jpeg-ls" | "jpeg-2000" | "htj2k";

export const IMPLICIT = "1.2.840.10008.1.2";
export const DEFLATED = "1.2.840.10008.1.2.1.99";
export const BIG_ENDIAN = "1.2.840.10008.1.2.2";

const CODINGS: Readonly<Record<string, Coding>> = {
  [IMPLICIT]: "native",
  "1.2.840.10008.1.2.1": "native",
  [DEFLATED]: "native",
  [BIG_ENDIAN]: "native",
  "1.2.840.10008.1.2.5": "rle",
  "1.2.840.10008.1.2.4.50": "jpeg",
  "1.2.840.10008.1.2.4.51": "jpeg-12bit",
  "1.2.840.10008.1.2.4.57": "jpeg-lossless",
  "1.2.840.10008.1.2.4.70": "jpeg-lossless",
  "1.2.840.10008.1.2.4.80": "jpeg-ls",
  "1.2.840.10008.1.2.4.81": "jpeg-ls",
  "1.2.840.10008.1.2.4.90": "jpeg-2000",
  "1.2.840.10008.1.2.4.91": "jpeg-2000",
  "1.2.840.10008.1.2.4.201": "htj2k",
  "1.2.840.10008.1.2.4.202": "htj2k",
  "1.2.840.10008.1.2.4.203": "htj2k",
};

/** Names of transfer syntaxes that are not read. */
const UNREAD: readonly (readonly [string, string])[] = [
  ["1.2.840.10008.1.2.4.92", "JPEG 2000 part 2"],
  ["1.2.840.10008.1.2.4.93", "JPEG 2000 part 2"],
  ["1.2.840.10008.1.2.4.94", "JPIP: the pixels are on a server"],
  ["1.2.840.10008.1.2.4.95", "JPIP: the pixels are on a server"],
  ["1.2.840.10008.1.2.4.100", "MPEG-2 video"],
  ["1.2.840.10008.1.2.4.101", "MPEG-2 video"],
  ["1.2.840.10008.1.2.4.102", "MPEG-4 video"],
  ["1.2.840.10008.1.2.4.103", "MPEG-4 video"],
  ["1.2.840.10008.1.2.4.104", "MPEG-4 video"],
  ["1.2.840.10008.1.2.4.105", "MPEG-4 video"],
  ["1.2.840.10008.1.2.4.106", "MPEG-4 video"],
  ["1.2.840.10008.1.2.4.107", "HEVC video"],
  ["1.2.840.10008.1.2.4.108", "HEVC video"],
  ["1.2.840.10008.1.2.4.110", "JPEG XL"],
  ["1.2.840.10008.1.2.4.111", "JPEG XL"],
  ["1.2.840.10008.1.2.4.112", "JPEG XL"],
  ["1.2.840.10008.1.2.4.204", "JPIP HTJ2K: the pixels are on a server"],
  ["1.2.840.10008.1.2.4.205", "JPIP HTJ2K: the pixels are on a server"],
];

/** The coding of a transfer syntax, or its name where it is not read. */
export function codingOf(syntax: string): Coding | { readonly unread: string } {
  const coding = CODINGS[syntax];
  if (coding !== undefined) return coding;
  const name = UNREAD.find(([uid]) => uid === syntax)?.[1];
  return { unread: name === undefined ? syntax : `${syntax}, ${name}` };
}

/** Objects without pixels to segment, by their SOP class. */
const NO_IMAGES: Readonly<Record<string, string>> = {
  "1.2.840.10008.1.3.10": "a directory of files (DICOMDIR); open the folder that it is in",
  "1.2.840.10008.5.1.4.1.1.481.2": "a dose (RTDOSE), not an image",
  "1.2.840.10008.5.1.4.1.1.481.3": "contours (RTSTRUCT), not an image",
  "1.2.840.10008.5.1.4.1.1.481.5": "a plan (RTPLAN), not an image",
  "1.2.840.10008.5.1.4.1.1.66": "raw data, not an image",
  "1.2.840.10008.5.1.4.1.1.66.1": "a registration, not an image",
  "1.2.840.10008.5.1.4.1.1.66.3": "a deformable registration, not an image",
  "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation (SEG), not an image",
  "1.2.840.10008.5.1.4.1.1.66.5": "a surface segmentation, not an image",
  "1.2.840.10008.5.1.4.1.1.66.7": "a segmentation (SEG), not an image",
  "1.2.840.10008.5.1.4.1.1.104.1": "a PDF document, not an image",
  "1.2.840.10008.5.1.4.1.1.104.2": "a CDA document, not an image",
};

/** What an object is instead of an image; undefined for images. */
export function insteadOfImage(sopClass: string): string | undefined {
  if (sopClass.startsWith("1.2.840.10008.5.1.4.1.1.88.")) return "a structured report (SR), not an image";
  if (sopClass.startsWith("1.2.840.10008.5.1.4.1.1.11.")) return "a presentation state, not an image";
  if (sopClass.startsWith("1.2.840.10008.5.1.4.1.1.9.")) return "a waveform, not an image";
  return NO_IMAGES[sopClass];
}
