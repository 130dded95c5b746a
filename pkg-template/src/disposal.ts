/** Freeing what is not needed any more: by `using`, or when nobody holds it. */

/// <reference lib="esnext.disposable" preserve="true" />

/** Lets `using` and `await using` call `dispose`, in engines that know them. */
export function disposable(type: { readonly prototype: { dispose(): void } }): void {
  const define = (symbol: symbol | undefined, value: (this: { dispose(): void }) => unknown) => {
    if (symbol !== undefined) Object.defineProperty(type.prototype, symbol, { value, configurable: true, writable: true });
  };
  define(Symbol.dispose, function () {
    this.dispose();
  });
  define(Symbol.asyncDispose, async function () {
    this.dispose();
  });
}

/** As much of a `FinalizationRegistry` as is used; nothing where there is none. */
export interface Finalization<T> {
  register(target: object, held: T, token: object): void;
  unregister(token: object): void;
}

/** Calls a function with what was registered for an object once that object is collected. */
export function finalization<T>(free: (held: T) => void): Finalization<T> {
  return typeof FinalizationRegistry === "function" ? new FinalizationRegistry(free) : { register() {}, unregister() {} };
}
