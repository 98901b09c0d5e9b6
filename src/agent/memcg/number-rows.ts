/**
 * Rows of whole numbers in one array: what is kept of thousands of targets would cost each of them an array object, and those
 * lie between what is thrown away, so that neither can be given back.
 */
const most = 2 ** 32 - 1;

export class NumberRows {
  readonly #width: number;
  #numbers: Uint32Array<ArrayBuffer>;
  #rows = 0;
  readonly #free: number[] = [];

  constructor(width: number) {
    this.#width = width;
    this.#numbers = new Uint32Array(16 * width);
  }

  /** A row of zeros. */
  take(): number {
    const row = this.#free.pop() ?? this.#rows++;
    const end = (row + 1) * this.#width;
    if (end > this.#numbers.length) this.#grow();
    this.#numbers.fill(0, end - this.#width, end);
    return row;
  }

  /** The row may be another one's from now on. */
  giveBack(row: number): void {
    this.#free.push(row);
  }

  /** The numbers as they lie now: they move when a row is taken. */
  at(row: number, column: number): { readonly numbers: Uint32Array; readonly at: number } {
    return { numbers: this.#numbers, at: row * this.#width + column };
  }

  get(row: number, column: number): number {
    return this.#numbers[row * this.#width + column] ?? 0;
  }

  /** What does not fit into 32 bits is the largest number that does: 49 days in milliseconds, 16 TiB in pages. */
  set(row: number, column: number, value: number): void {
    this.#numbers[row * this.#width + column] = Math.min(most, value);
  }

  #grow(): void {
    const larger = new Uint32Array(
      this.#numbers.length + Math.ceil(this.#numbers.length / 4 / this.#width) * this.#width,
    );
    larger.set(this.#numbers);
    this.#numbers = larger;
  }
}
