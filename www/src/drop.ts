/** What somebody drops on the page. */

/** The file of a drop, or an error that says what was dropped instead. */
export function droppedFile(data: DataTransfer | null): File {
  const [item, ...others] = [...(data?.items ?? [])].filter(({ kind }) => kind === "file");
  if (others.length > 0) throw new Error(`${others.length + 1} files were dropped; drop one image at a time`);
  if (item?.webkitGetAsEntry()?.isDirectory) throw new Error("a folder was dropped; drop one image of it");
  const file = item?.getAsFile();
  if (file == null) throw new Error("what was dropped is no file; save the image first, and drop its file");
  return file;
}
