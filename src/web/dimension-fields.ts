/** Form fields for what the operator declares: for one's own fact of a dimension, and for the want of it. */
import type { FactValue } from "../protocol.ts";
import type { FactDimension } from "../protocol/declaration.ts";
import { readFact, readWant, valuesMax, type Kind, type Want } from "./choices.ts";
import { nameWords } from "./facts-words.ts";
import type { Strings } from "./strings/en.ts";

type FactsWords = Strings["facts"];

/** A field, and what the user has chosen in it. */
export interface Field<T> {
  readonly element: HTMLElement;
  /** Undefined if that is nothing. */
  read(): T | undefined;
}

/** @param id of the field's own element; those of its parts begin with it. */
interface FieldParts<T> {
  id: string;
  name: string;
  chosen: T | undefined;
}

/** A field for the user's own fact of a dimension. */
export function createFactField(
  dimension: FactDimension,
  { id, name, chosen }: FieldParts<FactValue>,
  words: FactsWords,
): Field<FactValue> {
  const label = nameWords(name);
  const control = factControl(dimension, { id, label, chosen }, words);
  const { element } = control;
  if (dimension.shown) {
    const hint = textElement("p", words.shown, "note");
    hint.id = `${id}-hint`;
    control.described.setAttribute("aria-describedby", hint.id);
    element.append(hint);
  }
  return { element, read: () => readFact(dimension, control.read()) };
}

/** A field for what the user wants of a partner's fact. */
export function createWantField(
  dimension: FactDimension,
  { id, name, chosen }: FieldParts<Want>,
  words: FactsWords,
): Field<Want> {
  const element = fieldset(nameWords(name));
  const control = wantControl(dimension, { id, chosen }, words);
  element.append(control.element);
  const only = switchOf(words.only, chosen?.hard === true);
  if (dimension.hard !== false) element.append(only.element);
  const read = () => readWant(dimension, { ...control.read(), hard: only.input.checked });
  // Without a want there is nothing to insist on.
  const update = () => void (only.element.hidden = read() === undefined);
  element.addEventListener("input", update);
  update();
  return { element, read };
}

interface Control {
  readonly element: HTMLElement;
  read(): unknown;
}

function factControl(
  dimension: FactDimension,
  { id, label, chosen }: { id: string; label: string; chosen: FactValue | undefined },
  words: FactsWords,
): Control & { described: HTMLElement } {
  switch (dimension.kind) {
    case "one": {
      const select = document.createElement("select");
      select.append(
        option("", words.unstated),
        ...dimension.of.map((value) => option(value, nameWords(value))),
      );
      // Values are never empty, so that none is that of the first option.
      select.value = typeof chosen === "string" ? chosen : "";
      return { element: labelled(id, label, select), described: select, read: () => select.value };
    }
    case "set": {
      const element = fieldset(label);
      const values = checkboxes(dimension, Array.isArray(chosen) ? chosen : []);
      element.append(values.element);
      return { element, described: element, read: values.read };
    }
    case "range": {
      const input = numberInput(dimension, chosen);
      input.placeholder = `${dimension.from}–${dimension.to}`;
      return { element: labelled(id, label, input), described: input, read: () => numberIn(input) };
    }
    case "flag": {
      const element = fieldset(label);
      const answers = radios(id, [words.unstated, words.yes, words.no], chosen);
      element.append(answers.element);
      return { element, described: element, read: answers.read };
    }
  }
}

function wantControl(
  dimension: FactDimension,
  { id, chosen }: { id: string; chosen: Want | undefined },
  words: FactsWords,
): { element: HTMLElement; read(): object } {
  switch (dimension.kind) {
    case "one":
    case "set": {
      const values = checkboxes(dimension, chosen && "in" in chosen ? chosen.in : []);
      return { element: values.element, read: () => ({ in: values.read() }) };
    }
    case "range":
      return bounds(
        dimension,
        { id, ...(chosen && !("in" in chosen || "is" in chosen) && chosen) },
        words,
      );
    case "flag": {
      const is = chosen && "is" in chosen ? chosen.is : undefined;
      const answers = radios(id, [words.any, words.yes, words.no], is);
      return { element: answers.element, read: () => ({ is: answers.read() }) };
    }
  }
}

function bounds(
  dimension: Kind<"range">,
  chosen: { id: string; from?: number | undefined; to?: number | undefined },
  words: FactsWords,
) {
  const { id } = chosen;
  const from = numberInput(dimension, chosen.from);
  const to = numberInput(dimension, chosen.to);
  from.placeholder = String(dimension.from);
  to.placeholder = String(dimension.to);
  const element = document.createElement("div");
  element.className = "bounds";
  element.append(labelled(`${id}-from`, words.from, from), labelled(`${id}-to`, words.to, to));
  element.addEventListener("input", () => {
    const isReversed =
      from.value !== "" && to.value !== "" && Number(from.value) > Number(to.value);
    to.setCustomValidity(isReversed ? words.reversed : "");
  });
  return { element, read: () => ({ from: numberIn(from), to: numberIn(to) }) };
}

/** Values to choose several of. */
function checkboxes(
  dimension: Kind<"one" | "set">,
  chosen: readonly string[],
): { element: HTMLElement; read(): string[] } {
  const max = valuesMax(dimension);
  const chips = dimension.of.map((value) => {
    const { element, input } = chip("checkbox", nameWords(value), chosen.includes(value));
    return { element, input, value };
  });
  const element = chipList(chips);
  const read = () => chips.filter(({ input }) => input.checked).map(({ value }) => value);
  const update = () => {
    const isFull = read().length >= max;
    for (const { input } of chips) input.disabled = isFull && !input.checked;
  };
  element.addEventListener("input", update);
  update();
  return { element, read };
}

/** @param labels for neither, yes, and no. */
function radios(
  id: string,
  labels: readonly string[],
  chosen: unknown,
): { element: HTMLElement; read(): boolean | undefined } {
  const answers = [undefined, true, false] as const;
  const chips = answers.map((answer, index) => {
    const isChosen = answer === (typeof chosen === "boolean" ? chosen : undefined);
    const { element, input } = chip("radio", labels[index] ?? "", isChosen);
    input.name = id;
    return { element, input, answer };
  });
  return {
    element: chipList(chips),
    read: () => chips.find(({ input }) => input.checked)?.answer,
  };
}

function chip(type: "checkbox" | "radio", text: string, checked: boolean) {
  const element = document.createElement("label");
  element.className = "chip";
  const input = document.createElement("input");
  input.type = type;
  input.checked = checked;
  element.append(input, text);
  return { element, input };
}

function chipList(chips: readonly { element: HTMLElement }[]): HTMLElement {
  const list = document.createElement("div");
  list.className = "chips";
  list.append(...chips.map(({ element }) => element));
  return list;
}

function switchOf(text: string, checked: boolean) {
  const element = document.createElement("label");
  element.className = "switch";
  const input = document.createElement("input");
  input.type = "checkbox";
  input.setAttribute("role", "switch");
  input.checked = checked;
  element.append(input, textElement("span", text));
  return { element, input };
}

function numberInput({ from, to }: Kind<"range">, chosen: unknown): HTMLInputElement {
  const input = document.createElement("input");
  input.type = "number";
  input.inputMode = "numeric";
  input.min = String(from);
  input.max = String(to);
  input.value = typeof chosen === "number" ? String(chosen) : "";
  return input;
}

const numberIn = ({ value }: HTMLInputElement) => (value === "" ? undefined : Number(value));

function labelled(id: string, text: string, control: HTMLElement): HTMLElement {
  const element = document.createElement("div");
  element.className = "field";
  const label = document.createElement("label");
  label.htmlFor = id;
  label.textContent = text;
  control.id = id;
  element.append(label, control);
  return element;
}

function fieldset(text: string): HTMLFieldSetElement {
  const element = document.createElement("fieldset");
  element.append(textElement("legend", text));
  return element;
}

/** An option of a select. */
export function option(value: string, text: string): HTMLOptionElement {
  const element = document.createElement("option");
  element.value = value;
  element.textContent = text;
  return element;
}

function textElement(name: string, text: string, className = ""): HTMLElement {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}
