/** The control socket of a daemon whose address may change while it runs, and whose file somebody may remove. */
import { watch, type FSWatcher } from "node:fs";
import type { DaemonControl } from "../agent/control.ts";
import { parseAddr } from "../base/address.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { isFault, messageOf } from "../base/fault.ts";
import type { Logger } from "../base/log.ts";
import { serveSocket, type SocketServer } from "./server.ts";

/** A command that removes the file may remove its folder as well: by then it has. */
const settleMs = 250;

export interface ControlSocketOptions {
  readonly daemon: DaemonControl;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called for each request. */
  readonly asked?: () => void;
  /** What is wrong with the socket, or null when it is as it should be. */
  readonly trouble: (why: string | null) => void;
}

export class ControlSocket {
  readonly #options: ControlSocketOptions;
  #server: SocketServer;
  #wantedPath: string;
  #stopped = false;
  /** One move or look after the other. */
  #turn: Promise<void> = Promise.resolve();
  /** On the file itself and not its folder, where others make and remove theirs all the time. */
  #watcher: FSWatcher | null = null;
  #soon: Timer | null = null;

  private constructor(options: ControlSocketOptions, server: SocketServer) {
    this.#options = options;
    this.#server = server;
    this.#wantedPath = server.path;
    this.#watch();
  }

  /** Faults: as `parseAddr` and `serveSocket`. */
  static async open(addr: string, options: ControlSocketOptions): Promise<ControlSocket> {
    return new ControlSocket(options, await serveSocket({ ...options, path: parseAddr(addr) }));
  }

  /** Listens at this address from now on. Where that cannot be, the old one stays and the new one is tried again. */
  follow(addr: string): Promise<void> {
    this.#wantedPath = parseAddr(addr);
    return this.look();
  }

  /** To be called when the process is awake anyway: moves where it should be, and comes back where it was removed. */
  look(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#settle());
    return this.#turn;
  }

  async #settle(): Promise<void> {
    if (this.#stopped) return;
    const { log, trouble } = this.#options;
    const { path } = this.#server;
    try {
      if (this.#wantedPath !== path) {
        await this.#move(this.#wantedPath);
        this.#unwatch();
      } else if ((await this.#server.ensurePresent()) === "restored") {
        log.warn("the control socket was gone and is back", { path });
        this.#unwatch();
      }
      if (this.#watcher === null) this.#watch();
      trouble(null);
    } catch (error) {
      if (!isFault(error)) throw error;
      const stays = this.#wantedPath === path ? "" : `; the control socket stays at ${path}`;
      trouble(`${messageOf(error)}${stays}`);
    }
  }

  /** Without a watch, or where a folder above moved away with the file, the next look notices. */
  #watch(): void {
    try {
      this.#watcher = watch(this.#server.path, { persistent: false }, () => this.#lookSoon());
      this.#watcher.on("error", () => this.#unwatch());
    } catch {
      this.#watcher = null;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  #lookSoon(): void {
    this.#soon ??= this.#options.clock.after(settleMs, () => {
      this.#soon = null;
      void this.look();
    });
  }

  async #move(path: string): Promise<void> {
    const old = this.#server;
    this.#server = await serveSocket({ ...this.#options, path });
    this.#options.log.info("control socket moved", { from: old.path, to: path });
    // Not waited for: the request that brought the change may have come through it, and is answered first.
    void old.stop();
  }

  /** As the server's `stop`; a move under way is waited for. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#soon?.cancel();
    this.#unwatch();
    await this.#turn;
    await this.#server.stop();
  }
}
