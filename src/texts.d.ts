/** Files that are compiled in as text. */
declare module "*.sh" {
  const text: string;
  export default text;
}
