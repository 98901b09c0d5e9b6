/**
 * Rows of numbers in one array: what is kept of thousands of targets would cost each of them an array object, and those
 * lie between what is thrown away, so that neither can be given back.
 */
export class NumberRows {
  readonly #width: number;
  #numbers: Float64Array<ArrayBuffer>;
  #rows = 0;
  readonly #free: number[] = [];

  constructor(width: number) {
    this.#width = width;
    this.#numbers = new Float64Array(16 * width);
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

  get(row: number, column: number): number {
    return this.#numbers[row * this.#width + column] ?? 0;
  }

  set(row: number, column: number, value: number): void {
    this.#numbers[row * this.#width + column] = value;
  }

  #grow(): void {
    const larger = new Float64Array(this.#numbers.length * 2);
    larger.set(this.#numbers);
    this.#numbers = larger;
  }
}
