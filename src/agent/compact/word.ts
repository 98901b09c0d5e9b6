/** First argument that makes the program the child that compacts; src/main.ts looks for it before it loads anything. */
export const compactChildWord = "compact-child";
