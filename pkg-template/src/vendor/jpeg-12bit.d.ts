/** What is used of pdf.js's JPEG decoder as Cornerstone carries it (Apache-2.0), which the build bundles into the package. */
declare class JpegImage {
  colorTransform: boolean;
  parse(bytes: Uint8Array): void;
  getData16(width: number, height: number): Uint16Array;
}
export default JpegImage;
