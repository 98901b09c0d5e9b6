/**
 * The second door, for the host: the same routes on vsock, for the context ids that the settings name. Anyone else
 * comes is closed without a word, and counted.
 *
 * Bun.serve cannot listen on a socket that it did not make. So the connections that are let in are joined to a server of
 * its own behind a socket without a name, and with it come all the limits of the control socket.
 */
import { dirname } from "node:path";
import type { DoorNews } from "../agent/door.ts";
import type { DaemonControl } from "../agent/control.ts";
import { parseAddr, parseVsockListen } from "../base/address.ts";
import type { Clock } from "../base/clock.ts";
import { isFault, messageOf } from "../base/fault.ts";
import type { Logger } from "../base/log.ts";
import { type ControlSettings, defaultSettings } from "../config/schema.ts";
import { acceptOn, descriptorOf, splice, type Spliced, splicing, unspliced } from "../system/splice.ts";
import { listenVsock, peerCid } from "../system/vsock.ts";
import { serveHidden } from "./server.ts";

export interface VsockDoorOptions {
  readonly daemon: DaemonControl;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called for each request. */
  readonly asked?: () => void;
  /** Called whenever something of it is new. */
  readonly news: (news: DoorNews) => void;
  /** Listens on a port, and says who is connected; another than vsock's in tests. */
  readonly vsock?: { readonly listen: (port: number) => number; readonly peerCid: (fd: number) => number | null };
}

/** More than that at once is no host that asks. */
const connectionsMax = 1024;
const readOnlyWhy = "vsock peers may only read; set vsock_write = true under [control] in the guest";

type Connection = Bun.Socket<Spliced>;

export class VsockDoor {
  readonly #options: VsockDoorOptions;
  readonly #connections = new Map<Connection, number>();
  #settings: ControlSettings = defaultSettings.control;
  #port: number | null = null;
  #listener: Bun.TCPSocketListener<Spliced> | null = null;
  #inside: ReturnType<typeof serveHidden> | null = null;
  #news: DoorNews = { listening: false, accepted: 0, refused: 0, trouble: null };

  constructor(options: VsockDoorOptions) {
    this.#options = options;
  }

  /** These settings hold from now on, also for those who are in. What could not be done is tried again. */
  follow(settings: ControlSettings): void {
    this.#settings = settings;
    for (const [connection, cid] of this.#connections) if (!settings.vsock_peers.includes(cid)) connection.terminate();
    const wanted = settings.vsock === null ? null : parseVsockListen(settings.vsock);
    if (wanted === this.#port) return;
    this.#close();
    // Who is in goes too: a connection may be kept for hours.
    for (const connection of this.#connections.keys()) connection.terminate();
    if (wanted === null) this.#tell({ listening: false, trouble: null });
    else this.#open(wanted);
  }

  #open(port: number): void {
    const { log } = this.#options;
    try {
      this.#inside ??= serveHidden({
        ...this.#options,
        directory: dirname(parseAddr(this.#settings.addr)),
        readOnly: () => (this.#settings.vsock_write ? null : readOnlyWhy),
      });
      this.#listener = this.#listen(port);
      this.#port = port;
      log.info("listening on vsock", { port, peers: this.#settings.vsock_peers.join(",") });
      this.#tell({ listening: true, trouble: null });
    } catch (error) {
      if (!isFault(error)) throw error;
      const trouble = `cannot listen on ${this.#settings.vsock ?? ""}: ${messageOf(error)}; the host cannot come in`;
      this.#tell({ listening: false, trouble });
    }
  }

  #listen(port: number): Bun.TCPSocketListener<Spliced> {
    return acceptOn((this.#options.vsock?.listen ?? listenVsock)(port), {
      ...splicing,
      open: (connection: Connection) => this.#admit(connection),
      close: (connection: Connection) => {
        this.#connections.delete(connection);
        splicing.close(connection);
      },
    });
  }

  #admit(connection: Connection): void {
    connection.data = unspliced();
    const cid = (this.#options.vsock?.peerCid ?? peerCid)(descriptorOf(connection));
    const inside = this.#inside;
    const admitted = cid !== null && this.#settings.vsock_peers.includes(cid);
    if (!admitted || inside === null || this.#connections.size >= connectionsMax) {
      connection.terminate();
      this.#options.log.debug("a vsock connection was refused", { cid: cid ?? "unknown" });
      this.#tell({ refused: this.#news.refused + 1 });
      return;
    }
    this.#connections.set(connection, cid);
    this.#tell({ accepted: this.#news.accepted + 1 });
    // Nothing is read from it until there is somebody to read it.
    connection.pause();
    Bun.connect<Spliced>({
      unix: inside.path,
      data: unspliced(),
      allowHalfOpen: true,
      socket: { ...splicing, open: (server) => this.#join(connection, server) },
    }).catch((error: unknown) => {
      this.#options.log.warn("a vsock connection was lost", { why: messageOf(error) });
      connection.terminate();
    });
  }

  #join(connection: Connection, server: Connection): void {
    if (this.#connections.has(connection)) splice(connection, server);
    else server.terminate();
  }

  #tell(news: Partial<DoorNews>): void {
    this.#news = { ...this.#news, ...news };
    this.#options.news(this.#news);
  }

  #close(): void {
    this.#listener?.stop(false);
    this.#listener = null;
    this.#port = null;
  }

  /** Requests under way get half a second to be answered. */
  async stop(): Promise<void> {
    this.#close();
    await this.#inside?.stop();
    for (const connection of this.#connections.keys()) connection.terminate();
  }
}
