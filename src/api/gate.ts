/**
 * What is asked, by a request's head alone: the route, or the refusal. Pure.
 *
 * A web page can reach the socket only through a proxy that somebody put there, and even then it shall change nothing:
 * whatever carries a page's headers is refused, and so is a name that DNS could rebind. Addresses and names without a
 * dot cannot be rebound, so proxies on them work; the read-only monitoring routes answer under any name.
 */
import { nearest } from "../config/nearest.ts";
import { Refusal } from "./refusal.ts";
import { bodyBytesMax, routeNames, routePaths, routes, type RouteName } from "./routes.ts";

export interface RequestHead {
  readonly method: string;
  /** As the server was given it: `/path?query`, or with scheme and host before it. */
  readonly url: string;
  /** The header's value by its lower-case name, null where it is absent. */
  header(name: string): string | null;
}

export interface Asked {
  readonly name: RouteName;
  readonly save: boolean;
}

/** The route that is asked for. Refusal (403, 404, 405, 413, 415, 400) otherwise. */
export function admit(head: RequestHead): Asked {
  const { path, query } = splitUrl(head.url);
  refusePages(head, path);
  const name = findRoute(head.method, path);
  refuseBody(head);
  return { name, save: readQuery(query, routes[name].save, path) };
}

function splitUrl(url: string): { path: string; query: string } {
  const afterScheme = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + "://".length);
  const target = (afterScheme < 0 ? "" : url.slice(afterScheme)).split("#", 1)[0] ?? "";
  const mark = target.indexOf("?");
  return mark < 0 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

const addressHost = /^(\[[0-9a-f:.]+\]|\d+\.\d+\.\d+\.\d+)(:\d+)?$/i;
const plainHost = /^([a-z0-9_-]*|\.|([a-z0-9-]+\.)*localhost)\.?(:\d+)?$/i;

function refusePages(head: RequestHead, path: string): void {
  const fetchSite = head.header("sec-fetch-site");
  if (head.header("origin") !== null || (fetchSite !== null && fetchSite !== "none")) {
    throw new Refusal(403, "cannot answer a web page: the request has an Origin; use mem-agent or curl");
  }
  const host = head.header("host") ?? "";
  const anyHost = routeNames.some((name) => routes[name].anyHost && routes[name].path === path);
  if (anyHost || addressHost.test(host) || plainHost.test(host)) return;
  throw new Refusal(
    403,
    `cannot answer under the name ${JSON.stringify(host)}: use localhost or an address as the Host`,
  );
}

function findRoute(method: string, path: string): RouteName {
  const known = routeNames.filter((name) => routes[name].path === path);
  if (known.length === 0) {
    const near = nearest(path, routePaths);
    const shown = JSON.stringify(path.slice(0, 100));
    throw new Refusal(
      404,
      `cannot find ${shown}: there is no such path; ${near === null ? `there are ${routePaths.join(", ")}` : `did you mean ${near}?`}`,
    );
  }
  const wanted = method === "HEAD" ? "GET" : method;
  const found = known.find((name) => routes[name].method === wanted);
  if (found !== undefined && !(method === "HEAD" && routes[found].form === "lines")) return found;
  const allowed = known.flatMap((name) => {
    const route = routes[name];
    return route.method === "GET" && route.form !== "lines" ? ["GET", "HEAD"] : [route.method];
  });
  throw new Refusal(405, `cannot ${method} ${path}: it takes ${allowed.join(", ")}`, {
    headers: { allow: allowed.join(", ") },
  });
}

/** curl's --data names the form type whatever it sends, so that type is let through; what is not JSON fails as JSON. */
const bodyTypes = /^(application\/([a-z0-9.-]+\+)?json|application\/x-www-form-urlencoded)\s*(;.*)?$/i;

function refuseBody(head: RequestHead): void {
  const length = head.header("content-length");
  if (length !== null && Number(length) > bodyBytesMax) throw tooLarge();
  const follows = head.header("transfer-encoding") !== null || (length !== null && length !== "0");
  const type = head.header("content-type");
  if (follows && type !== null && !bodyTypes.test(type)) {
    throw new Refusal(415, `cannot read ${JSON.stringify(type.slice(0, 100))}: send application/json`);
  }
}

export function tooLarge(): Refusal {
  // The rest of such a body is not worth reading, so the connection ends with it.
  return new Refusal(413, `cannot read the body: it is larger than ${bodyBytesMax} bytes; send less`, {
    headers: { connection: "close" },
  });
}

function readQuery(query: string, takesSave: boolean, path: string): boolean {
  const problems: string[] = [];
  let save = false;
  for (const [key, value] of new URLSearchParams(query)) {
    if (key !== "save" || !takesSave) {
      problems.push(
        `unknown parameter ${JSON.stringify(key.slice(0, 100))}; ${takesSave ? "there is save" : "none is taken"}`,
      );
    } else if (value !== "true" && value !== "false") {
      problems.push(`save=${JSON.stringify(value.slice(0, 100))}: must be true or false`);
    } else save = value === "true";
    if (problems.length >= 20) break;
  }
  if (problems.length > 0) throw new Refusal(400, `cannot use the query of ${path}: ${problems[0]}`, { problems });
  return save;
}
