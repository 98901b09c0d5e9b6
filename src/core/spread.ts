/** Keeps guests that were booted together from hitting one disk at once. */

/**
 * A 32-bit seed from a text that differs from guest to guest and stays from start to start, such as the content of
 * /etc/machine-id. FNV-1a over the UTF-16 units, then mixed, since such texts differ in few places.
 */
export function spreadSeed(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mix(hash);
}

/**
 * What the period is multiplied by before run `ordinal` (0, 1, 2 …): from 1 up to 1 + `percent` / 100. Never below 1, so
 * that a period is never cut short. Each run has its own factor: guests whose factors happened to be near each other
 * once drift apart.
 */
export function spreadFactor(seed: number, ordinal: number, percent: number): number {
  const share = mix(seed ^ mix(ordinal + 1)) / 2 ** 32;
  return 1 + (share * percent) / 100;
}

/** A bijection of 32-bit integers in which each bit of the input moves about half of the output's. */
function mix(value: number): number {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x7feb352d);
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b);
  return (bits ^ (bits >>> 16)) >>> 0;
}
