/** A page imported as text: `import("./rules.md", { with: { type: "text" } })`. */
declare module "*.md" {
  const text: string;
  export default text;
}
