/** What is used of dicom-parser (MIT), which the build bundles into the package. */

export interface Element {
  readonly tag: string;
  readonly vr?: string;
  readonly dataOffset: number;
  readonly length: number;
  readonly items?: readonly { readonly dataSet?: DataSet }[];
  readonly fragments?: readonly { readonly offset: number; readonly position: number; readonly length: number }[];
  readonly basicOffsetTable?: readonly number[];
}

export interface DataSet {
  readonly byteArray: Uint8Array;
  readonly elements: Readonly<Record<string, Element | undefined>>;
  string(tag: string, index?: number): string | undefined;
  numStringValues(tag: string): number | undefined;
  uint16(tag: string, index?: number): number | undefined;
  int16(tag: string, index?: number): number | undefined;
  uint32(tag: string, index?: number): number | undefined;
  float(tag: string, index?: number): number | undefined;
  double(tag: string, index?: number): number | undefined;
}

declare const dicomParser: {
  readPart10Header(bytes: Uint8Array): DataSet & { readonly position: number };
  parseDicom(bytes: Uint8Array, options?: { readonly untilTag?: string; readonly inflater?: (bytes: Uint8Array, position: number) => Uint8Array }): DataSet;
  createJPEGBasicOffsetTable(dataSet: DataSet, element: Element): number[];
};
export default dicomParser;
