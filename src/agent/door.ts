/** What the door on vsock reports to the agent, for status, metrics and warnings. */
export interface DoorNews {
  readonly listening: boolean;
  /** Connections since the start that were let in, and that were not. */
  readonly accepted: number;
  readonly refused: number;
  /** What keeps the door from being as the settings want it, null when nothing does. */
  readonly trouble: string | null;
}
