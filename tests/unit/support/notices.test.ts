import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../../package.json" with { type: "json" };
import bunParts from "../../support/package/bun-parts.json" with { type: "json" };
import { bundledPackages, noticeFiles, noticesText } from "../../support/notices.ts";

const lock = readFileSync(join(import.meta.dir, "../../../package-lock.json"), "utf8");
/** What Bun tells beside the versions of its parts: its own, and those of interfaces. */
const noParts = ["node", "bun", "openssl", "zig", "v8", "uv", "napi", "unicode", "typescript", "modules"];

describe("the notices", () => {
  const text = noticesText(lock);

  test("name every bundled package, with its licence in full", () => {
    expect(bundledPackages(lock).map(({ name }) => name)).toEqual(Object.keys(packageJson.dependencies));
    for (const { name, version } of bundledPackages(lock)) expect(text).toContain(`\n${name} ${version} (MIT)\n`);
    expect(text.match(/Permission is hereby granted/g)?.length).toBeGreaterThanOrEqual(5);
  });

  test("name every part that Bun tells the version of", () => {
    const known = [...noParts, ...bunParts.flatMap(({ version }) => version ?? [])];
    expect(Object.keys(process.versions).filter((name) => !known.includes(name))).toEqual([]);
  });

  test("say how to link with another JavaScriptCore or TinyCC, by commit", () => {
    for (const name of ["webkit", "tinycc"] as const) {
      expect((process.versions as Record<string, string>)[name]).toMatch(/^[0-9a-f]{40}$/);
      expect(text).toContain((process.versions as Record<string, string>)[name] ?? "");
    }
    expect(text).toContain(Bun.revision);
  });
});

test("the SBOM holds packages and Bun with its parts, and is the same each time", async () => {
  const [, bom] = await noticeFiles();
  const [, again] = await noticeFiles();
  if (bom === undefined || again === undefined) throw new Error("no SBOM");
  expect(Buffer.from(again.bytes).toString()).toBe(Buffer.from(bom.bytes).toString());
  const { bomFormat, metadata, components, serialNumber } = JSON.parse(Buffer.from(bom.bytes).toString());
  expect(bomFormat).toBe("CycloneDX");
  expect(serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(metadata.component).toMatchObject({ name: "mem-agent", version: packageJson.version });
  expect(metadata.component.licenses).toBeUndefined();
  expect(components.map(({ name }: { name: string }) => name)).toEqual([
    ...Object.keys(packageJson.dependencies),
    "bun",
  ]);
  expect(components.at(-1).components).toHaveLength(bunParts.length);
});
