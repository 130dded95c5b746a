/** Colours for maps of values in 0–1. */

/** 256 RGB triples. */
export type Colormap = Uint8Array;

// Inferno of matplotlib (Smith & van der Walt, CC0), perceptually uniform: 256 RGB triples in hexadecimal.
const INFERNO_HEX =
  "00000400000501000601010801010a02010c02020e03021003021204031405031606041907041b08051d09061f0a06210b07240c07260d08280e082b0f092d11092f120a32130a34150b36160b39170b3b190c3e1a0c401c0c431d0c451f0c47210c4a220c4c240c4e260b51270b53290b552b0b572d0a592f0a5a300a5c320a5d34095f3609603709623909633b09643c09653e0966400967420a67430a68450a69470a69480b6a4a0b6a4b0c6b4d0c6b4f0d6c500d6c520e6c530e6d550f6d570f6d58106e5a116e5b116e5d126e5f126e60136e62146e63146e65156e67156e68166e6a176e6b176e6d186e6f186e70196e72196e731a6e751b6d761b6d781c6d7a1c6d7b1d6d7d1d6c7e1e6c801f6c821f6b83206b85206b86216a88216a8a22698b22698d23698e24689024689125679325679526669626669827659928659b28649d29639e2963a02a62a12b62a32b61a42c60a62d5fa72d5fa92e5eab2f5dac2f5dae305caf315bb1315ab23259b43359b53458b73457b83556ba3655bb3754bd3853be3952c03951c13a50c23b4fc43c4ec53d4dc73e4cc83f4bc9404acb4149cc4248cd4347cf4446d04545d14644d34743d44842d54940d64b3fd84c3ed94d3dda4e3cdb4f3bdc5139de5238df5337e05436e15635e25734e35832e45a31e55b30e65d2fe75e2ee85f2ce9612bea622aea6429eb6527ec6726ed6825ee6a24ee6c22ef6d21f06f20f0711ef1721df2741cf2761af37719f47918f47b16f57c15f57e14f68013f68211f78310f7850ff8870df8890cf88a0bf98c0af98e09f99008fa9207fa9406fa9506fb9706fb9906fb9b06fb9d06fb9f07fca108fca309fca40afca60bfca80dfcaa0ffcac10fcae12fcb014fcb216fbb418fbb61afbb81cfbba1ffbbc21fabe23fac025fac228fac42af9c52cf9c72ff9c932f8cb34f8cd37f7cf3af7d13df6d340f6d543f5d746f5d949f4db4cf4dd4ff4df52f3e156f3e359f2e45df2e661f2e865f1ea69f1eb6df1ed71f1ef75f1f079f1f27df2f381f2f586f3f68af4f78ef5f992f6fa96f7fb99f9fc9dfafda0fcffa4";

function parse(hex: string): Colormap {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) => Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16));
}

let parsed: Colormap | undefined;

/** Inferno, perceptually uniform from black through red to pale yellow. */
export function inferno(): Colormap {
  parsed ??= parse(INFERNO_HEX);
  return parsed;
}

/**
 * Colours a map for drawing over an image.
 *
 * @param values - one value per pixel
 * @param max - the value that gets the last colour
 * @param opacity - 0–1; each pixel's alpha is its share of `max` times this, so that certain pixels stay clear
 */
export function colorize(
  values: Float32Array,
  width: number,
  height: number,
  { colormap = inferno(), opacity = 1, max = 1 }: { colormap?: Colormap; opacity?: number; max?: number } = {},
): ImageData {
  const image = new ImageData(width, height);
  const rgba = image.data;
  for (let pixel = 0; pixel < values.length; pixel++) {
    const value = Math.min(1, Math.max(0, (values[pixel] ?? 0) / max));
    const color = 3 * Math.round(255 * value);
    rgba[4 * pixel] = colormap[color] ?? 0;
    rgba[4 * pixel + 1] = colormap[color + 1] ?? 0;
    rgba[4 * pixel + 2] = colormap[color + 2] ?? 0;
    rgba[4 * pixel + 3] = 255 * value * opacity;
  }
  return image;
}
