/**
 * Things in the order of a time each bears: insertion, removal and the oldest one in constant time, however
 * many there are. Times fall into days of `dayMs`; between days the order is exact, within a day it is that
 * of arrival. Both levels are linked lists, because deleting from the front of a `Map` or array gets slow
 * with its size.
 */
export interface Entry<T> {
  value: T;
  day: Day<T>;
  before: Entry<T> | undefined;
  after: Entry<T> | undefined;
}

interface Day<T> {
  number: number;
  first: Entry<T> | undefined;
  last: Entry<T> | undefined;
  before: Day<T> | undefined;
  after: Day<T> | undefined;
}

export class Calendar<T> {
  readonly #dayMs: number;
  readonly #days = new Map<number, Day<T>>();
  #first: Day<T> | undefined;
  #last: Day<T> | undefined;
  #size = 0;

  constructor(dayMs: number) {
    this.#dayMs = dayMs;
  }

  get size(): number {
    return this.#size;
  }

  /** The oldest entry. */
  get first(): Entry<T> | undefined {
    return this.#first?.first;
  }

  add(at: number, value: T): Entry<T> {
    const day = this.#dayOf(Math.floor(at / this.#dayMs));
    const entry: Entry<T> = { value, day, before: day.last, after: undefined };
    if (day.last) day.last.after = entry;
    else day.first = entry;
    day.last = entry;
    this.#size += 1;
    return entry;
  }

  /** Removes an entry of this calendar; once only. */
  remove(entry: Entry<T>): void {
    const { day, before, after } = entry;
    if (before) before.after = after;
    else day.first = after;
    if (after) after.before = before;
    else day.last = before;
    this.#size -= 1;
    if (!day.first) this.#drop(day);
  }

  /** Oldest first. What is added or removed meanwhile may or may not be seen. */
  *[Symbol.iterator](): Generator<T> {
    for (let entry = this.first; entry; entry = next(entry)) yield entry.value;
  }

  #dayOf(number: number): Day<T> {
    const known = this.#days.get(number);
    if (known) return known;

    // New days are nearly always the newest; a kept place may reach far back, so start at the nearer end.
    let before = this.#last;
    const first = this.#first;
    if (before && first && number - first.number < before.number - number) {
      let after: Day<T> | undefined = first;
      while (after && after.number < number) after = after.after;
      before = after?.before;
    } else {
      while (before && before.number > number) before = before.before;
    }

    const after = before ? before.after : this.#first;
    const day: Day<T> = { number, first: undefined, last: undefined, before, after };
    if (before) before.after = day;
    else this.#first = day;
    if (after) after.before = day;
    else this.#last = day;
    this.#days.set(number, day);
    return day;
  }

  #drop(day: Day<T>): void {
    if (day.before) day.before.after = day.after;
    else this.#first = day.after;
    if (day.after) day.after.before = day.before;
    else this.#last = day.before;
    this.#days.delete(day.number);
  }
}

/** The entry after this one, across days. */
function next<T>(entry: Entry<T>): Entry<T> | undefined {
  return entry.after ?? entry.day.after?.first;
}
