import { expect, test } from "@jest/globals";
import { UmedsamError, isSupported, load } from "umedsam";

test("the package is imported", async () => {
  expect((await isSupported()).supported).toBe(true);
  await expect(load({ devise: "cpu" })).rejects.toBeInstanceOf(UmedsamError);
});
