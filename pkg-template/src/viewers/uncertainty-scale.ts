/** Bits that get the last colour: members disagree by little. */
export const UNCERTAINTY_MAX = { total: 1, epistemic: 0.2 } as const;
