/** What is used of Cornerstone's codecs (MIT, ISC), which the build bundles into the package. */

export interface FrameInfo {
  readonly width: number;
  readonly height: number;
  readonly bitsPerSample: number;
  readonly componentCount: number;
  readonly isSigned?: boolean;
}

export interface Decoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getFrameInfo(): FrameInfo;
  getDecodedBuffer(): Uint8Array;
  delete(): void;
}

export interface CodecModule {
  readonly JpegLSDecoder: new () => Decoder;
  readonly J2KDecoder: new () => Decoder;
  readonly HTJ2KDecoder: new () => Decoder;
  readonly JPEGDecoder: new () => Decoder;
  getExceptionMessage?(exception: number): string;
}

declare const factory: (options: {
  readonly wasmBinary: Uint8Array;
  readonly print: (line: string) => void;
  readonly printErr: (line: string) => void;
}) => Promise<CodecModule>;
export default factory;
