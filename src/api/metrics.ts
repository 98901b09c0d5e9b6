export function metricsText(_: unknown): string {
  return "";
}
