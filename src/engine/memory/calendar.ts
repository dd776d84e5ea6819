/**
 * Things in the order of a time each bears: insertion, removal and the oldest one in constant time, however
 * many there are. Times fall into days of `dayMs`; between days the order is exact, within a day it is that
 * of arrival. Both levels are linked lists, because deleting from the front of a `Map` or array gets slow
 * with its size.
 */
export interface Entry<T> {
  readonly value: T;
  readonly day: Day<T>;
  before: Entry<T> | undefined;
  after: Entry<T> | undefined;
}

interface Day<T> {
  readonly number: number;
  first: Entry<T> | undefined;
  last: Entry<T> | undefined;
  before: Day<T> | undefined;
  after: Day<T> | undefined;
}

/** From this many days on they are also found by number; a small calendar is walked through faster. */
const daysIndexed = 16;

export class Calendar<T> {
  readonly #dayMs: number;
  #first: Day<T> | undefined;
  #last: Day<T> | undefined;
  #days = 0;
  #size = 0;
  #byNumber: Map<number, Day<T>> | undefined;

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

  /** The time by which the oldest entry is due: never before its own, and less than a day after. */
  get firstAt(): number | undefined {
    return this.#first && this.#first.number * this.#dayMs;
  }

  add(at: number, value: T): Entry<T> {
    const day = this.#dayOf(Math.ceil(at / this.#dayMs));
    const entry: Entry<T> = { value, day, before: day.last, after: undefined };
    if (day.last) day.last.after = entry;
    else day.first = entry;
    day.last = entry;
    this.#size += 1;
    return entry;
  }

  /** Removes an entry of this calendar; once only. */
  remove({ day, before, after: next }: Entry<T>): void {
    if (before) before.after = next;
    else day.first = next;
    if (next) next.before = before;
    else day.last = before;
    this.#size -= 1;
    if (!day.first) this.#drop(day);
  }

  #dayOf(number: number): Day<T> {
    if (this.#last?.number === number) return this.#last;
    const known = this.#byNumber?.get(number);
    if (known) return known;

    // New days are nearly always the newest; a kept place may reach far back, so start at the nearer end.
    let before = this.#last;
    const first = this.#first;
    if (before && first && number - first.number < before.number - number) {
      let next: Day<T> | undefined = first;
      while (next && next.number <= number) next = next.after;
      before = next?.before;
    } else {
      while (before && before.number > number) before = before.before;
    }
    if (before?.number === number) return before;

    const next = before ? before.after : this.#first;
    const day: Day<T> = {
      number,
      first: undefined,
      last: undefined,
      before,
      after: next,
    };
    if (before) before.after = day;
    else this.#first = day;
    if (next) next.before = day;
    else this.#last = day;
    this.#days += 1;
    if (this.#byNumber) this.#byNumber.set(number, day);
    else if (this.#days > daysIndexed) this.#indexDays();
    return day;
  }

  #indexDays(): void {
    this.#byNumber = new Map();
    for (let day = this.#first; day; day = day.after) this.#byNumber.set(day.number, day);
  }

  #drop(day: Day<T>): void {
    if (day.before) day.before.after = day.after;
    else this.#first = day.after;
    if (day.after) day.after.before = day.before;
    else this.#last = day.before;
    this.#days -= 1;
    this.#byNumber?.delete(day.number);
  }
}

/** The entry after this one, across days. */
export function after<T>(entry: Entry<T>): Entry<T> | undefined {
  return entry.after ?? entry.day.after?.first;
}
