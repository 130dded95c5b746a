/** Entry of the module worker. */

import { Engine } from "./engine.js";
import { toUmedsamError } from "./errors.js";
import type { RequestMessage, ResponseMessage, Result } from "./protocol.js";

interface WorkerScope {
  onmessage: ((event: MessageEvent<RequestMessage>) => void) | null;
  postMessage(message: ResponseMessage, transfer?: Transferable[]): void;
}

const scope = globalThis as unknown as WorkerScope;
const engine = new Engine();

/** The maps go to the page without a copy. */
function transferables(method: RequestMessage["method"], value: unknown): Transferable[] {
  if (method !== "segment" && method !== "follow") return [];
  const { results } = value as Result<"segment" | "follow">;
  return results.flatMap(({ mask, probability, uncertainty, outer, inner, lowRes }) => {
    const { total, aleatoric, epistemic } = uncertainty;
    const arrays = [mask, probability, total, aleatoric, epistemic, outer, inner, lowRes.logits];
    return arrays.flatMap((array) => array?.buffer ?? []);
  });
}

async function answer({ id, method, args }: RequestMessage): Promise<void> {
  try {
    const value = await engine.handle(id, method, args as never, (fraction) => {
      scope.postMessage({ id, kind: "progress", fraction });
    });
    scope.postMessage({ id, kind: "result", value }, transferables(method, value));
  } catch (cause) {
    const { code, message } = toUmedsamError(cause);
    scope.postMessage({ id, kind: "error", error: { code, message } });
  }
}

scope.onmessage = ({ data }) => void answer(data);
