/** What goes wrong in a caller's function is the caller's. */

export interface Watched<T> {
  readonly callback: (value: T) => void;
  readonly hasFailed: () => boolean;
  readonly check: () => void;
}

/**
 * A callback that never throws into the library: after the first exception it is not called again, `onFailure` is called, and `check` throws that exception
 * as it was.
 */
export function watched<T>(callback: (value: T) => void, onFailure: () => void = () => {}): Watched<T> {
  let failure: { readonly cause: unknown } | undefined;
  return {
    callback: (value) => {
      if (failure !== undefined) return;
      try {
        callback(value);
      } catch (cause) {
        failure = { cause };
        onFailure();
      }
    },
    hasFailed: () => failure !== undefined,
    check: () => {
      if (failure !== undefined) throw failure.cause;
    },
  };
}
