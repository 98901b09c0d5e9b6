/** A VMM's vsock socket as Firecracker describes it, in front of an agent that listens on a unix socket of this machine. */
import { connect, createServer, type Server, type Socket } from "node:net";

/** Listens at `path`; `CONNECT PORT` leads to the agent at `agentPath`, any other port is refused. */
export async function vmm(path: string, agentPath: string, agentPort = 9469): Promise<Server> {
  const server = createServer((host: Socket) => {
    host.on("error", () => {});
    host.once("data", (line) => {
      if (line.toString() !== `CONNECT ${agentPort}\n`) {
        host.destroy();
        return;
      }
      const agent = connect(agentPath, () => {
        host.write("OK 1073741824\n");
        host.pipe(agent).pipe(host);
      });
      agent.on("error", () => host.destroy());
      host.on("close", () => agent.destroy());
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(path, resolve);
  await promise;
  return server;
}
