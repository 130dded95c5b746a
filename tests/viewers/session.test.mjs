// The part of viewer adapters that no viewer is in (`pkg-template/src/viewers/session.ts`), with a network that counts what it is asked. `cargo xtask test` names the package's files.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const dist = (file) => import(pathToFileURL(join(process.env.UMEDSAM_DIST, file)).href);
const { PromptSession } = await dist("viewers/session.js");
const { UmedsamError } = await dist("errors.js");

const rest = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
const SIZE = { width: 8, height: 6 };

/** A network whose work ends when it is told to, or at once. */
class Network {
  encoded = [];
  disposed = [];
  asked = [];
  /** Options of the calls. */
  options = [];
  /** What the next calls fail with. */
  failures = [];
  /** Answers wait for `release()`, or their end. */
  isQuickHeld = false;
  isEnsembleHeld = false;
  release = () => {};
  #gate = Promise.resolve();
  open = () => {};

  /** Encodes wait for `open()`. */
  close() {
    this.#gate = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  async encode({ name }, { signal } = {}) {
    this.encoded.push(name);
    await Promise.race([
      this.#gate,
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new UmedsamError("aborted", "encoding was aborted")))),
    ]);
    let isDisposed = false;
    return {
      ...SIZE,
      segment: async ([prompt], { uncertainty, signal: stop, ...options }) => {
        this.options.push(options);
        await rest();
        const isEnsemble = uncertainty?.samples !== 0;
        if (isEnsemble ? this.isEnsembleHeld : this.isQuickHeld) {
          await new Promise((resolve) => {
            stop?.addEventListener("abort", resolve);
            this.release = resolve;
          });
        }
        if (isDisposed) throw new UmedsamError("disposed", "the image was disposed of");
        if (stop?.aborted) throw new UmedsamError("aborted", "segmenting was aborted");
        const failure = this.failures.shift();
        if (failure !== undefined) throw failure;
        const isSingle = uncertainty?.samples === 0;
        this.asked.push(`${name} ${isSingle ? "single" : "ensemble"} ${prompt.points.length}`);
        return [{ ...SIZE, name, lowRes: { logits: new Float32Array(1), crop: null }, isSingle }];
      },
      dispose: () => {
        isDisposed = true;
        this.disposed.push(name);
      },
    };
  }
}

const slice = (name) => ({ key: name, image: () => ({ name }) });
const box = { box: [1, 1, 5, 4] };
const point = { points: [{ x: 3, y: 3 }] };

function connected(options) {
  const network = new Network();
  const session = new PromptSession(network, options);
  const told = [];
  session.listeners.on("answer", ({ slice: { key }, isFinal, segmentation }) => {
    assert.equal(segmentation.name, key, "a mask of another slice");
    told.push(`${key} ${isFinal ? "final" : "quick"}`);
  });
  session.listeners.on("busy", (isBusy) => told.push(isBusy ? "busy" : "idle"));
  session.listeners.on("error", ({ code }) => told.push(code));
  return { network, session, told };
}

test("what is asked for of contours goes with every call", async () => {
  const { network, session } = connected({ alpha: 0.2, delta: 0.1, zoom: "auto" });
  await session.say(slice("a"), box);
  assert.deepEqual(network.options, Array(2).fill({ alpha: 0.2, delta: 0.1, zoom: "auto" }));
  const { network: other, session: plain } = connected();
  await plain.say(slice("a"), box);
  assert.deepEqual(other.options, [{}, {}]);
});

test("a box is answered quickly, then with the uncertainty", async () => {
  const { network, session, told } = connected();
  assert.equal(session.answer, undefined);
  await session.say(slice("a"), box);
  assert.deepEqual(told, ["busy", "a quick", "a final", "idle"]);
  assert.equal(session.answer.isFinal, true);
  await session.say(slice("a"), point);
  assert.deepEqual(network.asked, ["a single 0", "a ensemble 0", "a single 1", "a ensemble 1"]);
  assert.deepEqual(network.encoded, ["a"]);
  assert.equal(session.undo().segmentation.isSingle, false);
  assert.equal(session.canRedo, true);
  assert.equal(session.redo().prompt.points.length, 1);
  session.end();
  assert.equal(session.answer, undefined);
});

test("a single pass alone is the last answer", async () => {
  const { session, told } = connected({ uncertainty: { samples: 0 } });
  await session.say(slice("a"), box);
  assert.deepEqual(told, ["busy", "a final", "idle"]);
});

test("what is said later on another slice is answered alone", async () => {
  const { network, session, told } = connected();
  network.close();
  const first = session.say(slice("a"), box);
  const second = session.say(slice("b"), box);
  await rest();
  network.open();
  await Promise.all([first, second]);
  assert.deepEqual(told, ["busy", "b quick", "b final", "idle"]);
});

test("another box on a slice that is being encoded is answered", async () => {
  const { network, session, told } = connected();
  network.close();
  const first = session.say(slice("a"), box);
  await rest();
  const second = session.say(slice("a"), box);
  await rest();
  network.open();
  await Promise.all([first, second]);
  assert.deepEqual(told, ["busy", "a quick", "a final", "idle"]);
});

test("points that are set while the network works are all taken, and the ensemble is asked once", async () => {
  const { network, session } = connected();
  network.close();
  const all = [session.say(slice("a"), box), session.say(slice("a"), point), session.say(slice("a"), point)];
  await rest();
  network.open();
  await Promise.all(all);
  assert.deepEqual(network.asked, ["a single 0", "a single 1", "a single 2", "a ensemble 2"]);
});

test("slices are encoded beforehand, until something is asked", async () => {
  const { network, session, told } = connected();
  session.expect(["a", "b", "c"].map(slice));
  await rest(400);
  assert.deepEqual(network.encoded, ["a", "b"]);
  assert.deepEqual(told, []);
  await session.say(slice("b"), box);
  await rest(400);
  assert.deepEqual(network.encoded, ["a", "b"], "what was asked came from what was there, and ended the rest");
  // What is being encoded beforehand is what is wanted.
  network.close();
  session.expect([slice("d")]);
  await rest(200);
  const asked = session.say(slice("d"), box);
  await rest();
  network.open();
  await asked;
  assert.deepEqual(network.encoded, ["a", "b", "d"]);
  // Or it is not.
  network.close();
  session.expect([slice("e")]);
  await rest(200);
  const other = session.say(slice("f"), box);
  await rest();
  network.open();
  await other;
  assert.deepEqual(told.slice(-4), ["busy", "f quick", "f final", "idle"]);
});

test("no more is kept than was said", async () => {
  const { network, session } = connected({ keep: 2 });
  for (const name of ["a", "b", "c"]) await session.say(slice(name), box);
  await rest();
  assert.deepEqual(network.disposed, ["a"]);
  session.expect(["d", "e", "f"].map(slice));
  await rest(700);
  assert.deepEqual(network.encoded, ["a", "b", "c", "d"]);
  // The object's own slice was dropped for others meanwhile.
  session.expect([slice("e")]);
  await rest(300);
  await session.say(slice("c"), point);
  assert.equal(network.asked.at(-1), "c ensemble 1");
});

test("a lost GPU is asked again once, other errors are told and change nothing", async () => {
  const { network, session, told } = connected();
  const lost = () => new UmedsamError("device-lost", "the GPU was lost");
  network.failures = [lost()];
  await session.say(slice("a"), box);
  assert.deepEqual(told, ["busy", "a quick", "a final", "idle"]);
  assert.deepEqual(network.encoded, ["a", "a"]);
  network.failures = [lost(), lost()];
  await session.say(slice("a"), point);
  assert.deepEqual(told.slice(4), ["busy", "idle", "device-lost"]);
  network.failures = [new UmedsamError("invalid-box", "the box lies outside")];
  await session.say(slice("a"), point);
  assert.equal(told.at(-1), "invalid-box");
  assert.equal(session.answer.prompt.points.length, 0, "what failed is not said");
  await session.say({ key: "x", image: () => Promise.reject(new Error("no such file")) }, box);
  assert.equal(told.at(-1), "worker-failed");
});

test("what waits when the GPU is lost is answered too", async () => {
  const { network, session, told } = connected();
  await session.say(slice("a"), box);
  network.failures = [new UmedsamError("device-lost", "the GPU was lost")];
  await Promise.all([session.say(slice("a"), point), session.say(slice("a"), point)]);
  assert.deepEqual(told.slice(4), ["busy", "a quick", "a quick", "a final", "idle"]);
  assert.equal(session.answer.prompt.points.length, 2);
});

test("a correction does not wait for the ensemble before it", async () => {
  const { network, session, told } = connected();
  network.isEnsembleHeld = true;
  const first = session.say(slice("a"), box);
  await rest(20);
  network.isEnsembleHeld = false;
  await Promise.all([first, session.say(slice("a"), point)]);
  assert.deepEqual(told, ["busy", "a quick", "a quick", "a final", "idle"]);
});

test("undo takes back what has no answer yet, and leaves the answer before it", async () => {
  const { network, session, told } = connected();
  await session.say(slice("a"), box);
  network.isQuickHeld = true;
  const asked = session.say(slice("a"), point);
  await rest(20);
  network.isQuickHeld = false;
  assert.equal(session.undo().prompt.points.length, 0);
  network.release();
  await asked;
  assert.equal(session.answer.prompt.points.length, 0);
  assert.deepEqual(told.slice(4), ["busy", "idle"]);
  // Before the first answer there is nothing.
  network.close();
  const first = session.say(slice("b"), box);
  await rest();
  assert.equal(session.undo(), undefined);
  network.open();
  await first;
  assert.equal(session.answer, undefined);
});

test("undo takes back what waits for its slice to be encoded again", async () => {
  const { network, session } = connected({ keep: 1 });
  await session.say(slice("a"), box);
  session.expect([slice("b")]);
  await rest(250);
  network.close();
  const asked = session.say(slice("a"), point);
  await rest();
  session.undo();
  network.open();
  await asked;
  assert.equal(session.answer.prompt.points.length, 0);
});

test("what was undone and redone has its uncertainty in the end", async () => {
  const { network, session, told } = connected();
  network.isEnsembleHeld = true;
  const asked = session.say(slice("a"), box);
  await rest(20);
  session.undo();
  network.release();
  await asked;
  network.isEnsembleHeld = false;
  assert.equal(session.redo().isFinal, false);
  await rest(50);
  assert.equal(session.answer.isFinal, true);
  assert.equal(told.at(-2), "a final");
});

test("a box that fails leaves the object before it", async () => {
  const { network, session, told } = connected();
  await session.say(slice("a"), box);
  network.failures = [new UmedsamError("invalid-box", "the box has no area")];
  await session.say(slice("a"), box);
  assert.equal(told.at(-1), "invalid-box");
  assert.equal(session.answer.segmentation.name, "a");
  await session.say(slice("a"), point);
  assert.equal(session.answer.prompt.box.length, 4);
  assert.deepEqual(network.encoded, ["a"]);
});

test("an encoding that a person waits for is neither ended nor repeated", async () => {
  const { network, session } = connected();
  network.close();
  session.expect([slice("a"), slice("b")]);
  await rest(200);
  const asked = session.say(slice("a"), box);
  session.expect([slice("c")]);
  const again = session.say(slice("a"), box);
  await rest();
  network.open();
  await Promise.all([asked, again]);
  assert.deepEqual(network.encoded, ["a"]);
});

test("nothing is told after it is disposed of, and nothing is left", async () => {
  const { network, session, told } = connected();
  network.close();
  const asked = session.say(slice("a"), box);
  await rest();
  session.dispose();
  network.open();
  await asked;
  await session.say(slice("b"), box);
  session.expect([slice("c")]);
  await rest(300);
  assert.deepEqual(told, ["busy"]);
  assert.deepEqual(network.encoded, ["a"]);
  const other = connected();
  await other.session.say(slice("a"), box);
  other.session.dispose();
  await rest();
  assert.deepEqual(other.network.disposed, ["a"]);
});

test("a listener that fails keeps no other from hearing", async () => {
  const { session, told } = connected();
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  const off = session.listeners.on("answer", () => {
    throw new Error("mine");
  });
  session.listeners.on("answer", () => told.push("after"));
  await session.say(slice("a"), box);
  off();
  await session.say(slice("a"), point);
  assert.deepEqual(reported, ["mine", "mine"]);
  assert.equal(told.filter((what) => what === "after").length, 4);
});
