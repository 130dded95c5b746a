/** Every promise that was made, until it is settled, and what went wrong. */

const KEPT_STEPS = 60;

export class Tracker {
  /** Calls under way. */
  calls = new Set();
  failures = [];
  steps = [];
  settled = {};

  /** Notes a step, of which the last are told with a failure. */
  step(what) {
    this.steps.push(what);
    if (this.steps.length > KEPT_STEPS) this.steps.shift();
  }

  fail(what) {
    if (this.failures.length < 20) this.failures.push(what);
  }

  /**
   * A call that gives a value, or fails with one of some codes. `codes` may grow while it is under way, and `mustFail` become true.
   */
  follow(owner, what, promise, { codes = [], mustFail = false, onValue = () => {}, onError = () => {} } = {}) {
    const call = { owner, what, codes: new Set(codes), mustFail };
    this.calls.add(call);
    const count = (kind) => (this.settled[kind] = (this.settled[kind] ?? 0) + 1);
    promise
      .then(
        (value) => {
          count("answered");
          if (call.mustFail) this.fail(`${what} was answered, but must fail with ${[...call.codes]}`);
          return onValue(value, call);
        },
        (error) => {
          count(error.code ?? "other");
          const isNamed = error.code !== "aborted" || error.name === "AbortError";
          if (!call.codes.has(error.code) || !isNamed) this.fail(`${what} failed with ${error.code}: ${error.message}`);
          return onError(error, call);
        },
      )
      .catch((error) => this.fail(`after ${what}: ${error.stack}`))
      .finally(() => this.calls.delete(call));
    return call;
  }

  /** Allows the calls under way of an owner to fail. */
  allow(owner, code, mustFail = false) {
    for (const call of this.calls) {
      if (call.owner !== owner && call.owner.arena !== owner) continue;
      call.codes.add(code);
      call.mustFail ||= mustFail;
    }
  }

  /** Waits until nothing is under way; what is still there after some seconds is a failure. */
  async rest(seconds) {
    const end = performance.now() + 1000 * seconds;
    while (this.calls.size > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
    for (const { what } of this.calls) this.fail(`${what} is not settled after ${seconds} s`);
    this.calls.clear();
  }
}
