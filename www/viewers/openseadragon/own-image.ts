/** A file of the visitor's as tiles in memory: pages that forbid `blob:` addresses show it too. */

const TILE = 512;

interface TileJob {
  readonly tile: { readonly level: number; readonly x: number; readonly y: number };
  finish(data: CanvasRenderingContext2D, request: null, kind: "context2d"): void;
  fail(message: string): void;
}

export async function ownImage(file: Blob) {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  const maxLevel = Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / TILE)));
  return {
    ...{ width, height, tileSize: TILE, minLevel: 0, maxLevel },
    getTileUrl: (level: number, x: number, y: number) => `${level}/${x}/${y}`,
    downloadTileStart(job: TileJob): void {
      const { level, x, y } = job.tile;
      const side = TILE * 2 ** (maxLevel - level);
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [TILE, TILE];
      const context = canvas.getContext("2d");
      if (context === null) return job.fail("there is no canvas");
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, x * side, y * side, side, side, 0, 0, TILE, TILE);
      job.finish(context, null, "context2d");
    },
    downloadTileAbort(): void {},
  };
}
