/**
 * Values in the order of a time that each has: insertion, removal and access to the first one take constant time, however many
 * there are. Times fall into buckets of `bucketMs`; the order between buckets is exact, within a bucket it is that of arrival.
 * Both levels are linked lists, because deleting from the front of a `Map` or array gets slower with its size.
 */
export interface Entry<T> {
  readonly value: T;
  /** Where it is; `undefined` before it is inserted, as the following ones. */
  bucket: Bucket<T> | undefined;
  before: Entry<T> | undefined;
  after: Entry<T> | undefined;
}

interface Bucket<T> {
  readonly number: number;
  first: Entry<T> | undefined;
  last: Entry<T> | undefined;
  before: Bucket<T> | undefined;
  after: Bucket<T> | undefined;
}

/** From this many buckets on they are also indexed by number; a few are searched faster by walking. */
const bucketsIndexed = 16;

export class TimeBuckets<T> {
  readonly #bucketMs: number;
  #first: Bucket<T> | undefined;
  #last: Bucket<T> | undefined;
  #count = 0;
  #size = 0;
  #byNumber: Map<number, Bucket<T>> | undefined;

  constructor(bucketMs: number) {
    this.#bucketMs = bucketMs;
  }

  get size(): number {
    return this.#size;
  }

  /** The oldest entry. */
  get first(): Entry<T> | undefined {
    return this.#first?.first;
  }

  /** The time by which the first entry is due: not before its own, and less than a bucket later. */
  get firstAt(): number | undefined {
    return this.#first && this.#first.number * this.#bucketMs;
  }

  add(at: number, value: T): Entry<T> {
    const entry: Entry<T> = { value, bucket: undefined, before: undefined, after: undefined };
    this.insert(at, entry);
    return entry;
  }

  /** Adds an entry that the caller has made, which may have more fields. */
  insert(at: number, entry: Entry<T>): void {
    const bucket = this.#bucketOf(Math.ceil(at / this.#bucketMs));
    entry.bucket = bucket;
    entry.before = bucket.last;
    if (bucket.last) bucket.last.after = entry;
    else bucket.first = entry;
    bucket.last = entry;
    this.#size += 1;
  }

  /** Removes an entry of this calendar; once only. */
  remove({ bucket, before, after: next }: Entry<T>): void {
    if (!bucket) return;
    if (before) before.after = next;
    else bucket.first = next;
    if (next) next.before = before;
    else bucket.last = before;
    this.#size -= 1;
    if (!bucket.first) this.#drop(bucket);
  }

  #bucketOf(number: number): Bucket<T> {
    if (this.#last?.number === number) return this.#last;
    const known = this.#byNumber?.get(number);
    if (known) return known;

    // A new bucket is nearly always the last one; a kept place may be far back, so start at the nearer end.
    let before = this.#last;
    const first = this.#first;
    if (before && first && number - first.number < before.number - number) {
      let next: Bucket<T> | undefined = first;
      while (next && next.number <= number) next = next.after;
      before = next?.before;
    } else {
      while (before && before.number > number) before = before.before;
    }
    if (before?.number === number) return before;

    const next = before ? before.after : this.#first;
    const bucket: Bucket<T> = {
      number,
      first: undefined,
      last: undefined,
      before,
      after: next,
    };
    if (before) before.after = bucket;
    else this.#first = bucket;
    if (next) next.before = bucket;
    else this.#last = bucket;
    this.#count += 1;
    if (this.#byNumber) this.#byNumber.set(number, bucket);
    else if (this.#count > bucketsIndexed) this.#indexBuckets();
    return bucket;
  }

  #indexBuckets(): void {
    this.#byNumber = new Map();
    for (let bucket = this.#first; bucket; bucket = bucket.after)
      this.#byNumber.set(bucket.number, bucket);
  }

  #drop(bucket: Bucket<T>): void {
    if (bucket.before) bucket.before.after = bucket.after;
    else this.#first = bucket.after;
    if (bucket.after) bucket.after.before = bucket.before;
    else this.#last = bucket.before;
    this.#count -= 1;
    this.#byNumber?.delete(bucket.number);
  }
}

/** The entry after this one, across buckets. */
export function after<T>(entry: Entry<T>): Entry<T> | undefined {
  return entry.after ?? entry.bucket?.after?.first;
}
