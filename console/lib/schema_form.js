/**
 * A form made from a JSON Schema: text, numbers, choices, lists and nested objects. What a schema says in another way is
 * entered as JSON. The API checks the input; its answer names the invalid places, which are shown at their fields.
 */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { icon } from "./ui.js";

/** @import { InputProblem } from "../answers.js" */
/** @typedef {Record<string, any>} Schema */

const LONG_TEXT = 200;

export class SchemaForm {
  /** @type {InputProblem[]} */ problems = [];
  /** Fields whose text is not a value: by their place. @type {Map<string, { text: string, detail: string }>} */
  #drafts = new Map();

  /**
   * @param {Schema} schema
   * @param {() => void} onChange
   */
  constructor(schema, onChange) {
    this.root = schema;
    this.onChange = onChange;
    /** @type {any} */
    this.value = this.#initial(schema);
  }

  /** Whether each field has a value of its kind. */
  get isValid() {
    return this.#drafts.size === 0;
  }

  /** @param {any} value */
  replace(value) {
    this.value = value;
    this.#drafts.clear();
    this.problems = [];
    this.onChange();
  }

  view() {
    const unplaced = this.problems.filter(({ pointer }) => !pointer.startsWith("/input/"));
    return html`<div class="form">
      ${unplaced.map(({ detail }) => html`<p class="field-error" role="alert">${detail}</p>`)}
      ${this.#fields(this.#resolve(this.root), this.value ?? {}, [], (next) => this.#set(next))}
    </div>`;
  }

  /** @param {any} value */
  #set(value) {
    this.value = value;
    this.onChange();
  }

  /**
   * Return the schema that is meant: behind a reference, or beside null.
   * @param {Schema} schema
   * @returns {Schema}
   */
  #resolve(schema) {
    if (schema.$ref) {
      const path = schema.$ref.replace(/^#\/?/, "").split("/").filter(Boolean);
      const found = path.reduce((/** @type {any} */ at, /** @type {string} */ name) => at?.[name], this.root);
      return found ? this.#resolve({ ...found, ...schema, $ref: undefined }) : {};
    }
    const options = schema.anyOf ?? schema.oneOf;
    const others = options?.filter((/** @type {Schema} */ each) => each.type !== "null");
    if (others?.length === 1) return this.#resolve({ ...others[0], ...schema, anyOf: undefined, oneOf: undefined, isNullable: true });
    return schema;
  }

  /** @param {Schema} given */
  #initial(given) {
    const schema = this.#resolve(given);
    if (schema.default !== undefined) return schema.default ?? undefined;
    if (schema.const !== undefined) return schema.const;
    if (schema.type !== "object" || !schema.properties) return undefined;
    /** @type {Record<string, any>} */
    const value = {};
    for (const [name, each] of Object.entries(schema.properties)) {
      const initial = schema.required?.includes(name) ? this.#initial(/** @type {Schema} */ (each)) : undefined;
      if (initial !== undefined) value[name] = initial;
    }
    return value;
  }

  /**
   * @param {Schema} schema
   * @param {any} value
   * @param {string[]} place
   * @param {(value: any) => void} set
   * @returns {unknown}
   */
  #fields(schema, value, place, set) {
    const properties = Object.entries(schema.properties ?? {});
    if (schema.type !== "object" || !properties.length) return this.#json(schema, value, place, set, "Input");
    return properties.map(([name, each]) => {
      const change = (/** @type {any} */ next) => {
        const all = { ...value };
        if (next === undefined) delete all[name];
        else all[name] = next;
        set(all);
      };
      const isRequired = schema.required?.includes(name) ?? false;
      return this.#field(name, this.#resolve(/** @type {Schema} */ (each)), value?.[name], [...place, name], change, isRequired);
    });
  }

  /**
   * @param {string} name
   * @param {Schema} schema
   * @param {any} value
   * @param {string[]} place
   * @param {(value: any) => void} set
   * @param {boolean} isRequired
   * @returns {unknown}
   */
  #field(name, schema, value, place, set, isRequired) {
    const id = `field-${place.join("-")}`;
    const problem = this.#problemAt(place);
    const described = [schema.description && `${id}-help`, problem && `${id}-error`].filter(Boolean).join(" ");
    const aria = { id, described: described || nothing, invalid: String(Boolean(problem)) };
    if (schema.type === "object" && schema.properties && value !== undefined) {
      return html`<fieldset class="group"><legend>${label(name, isRequired)}</legend>${help(id, schema)}${this.#fields(schema, value, place, set)}
        ${isRequired ? nothing : html`<button type="button" class="link" @click=${() => set(undefined)}>Leave it out</button>`}</fieldset>`;
    }
    if (schema.type === "boolean") {
      return html`<div class="field"><label class="check"><input type="checkbox" id=${id} aria-describedby=${aria.described} aria-invalid=${aria.invalid}
          .checked=${live(Boolean(value ?? schema.default))} @change=${(/** @type {any} */ event) => set(event.target.checked)} /><span>${label(name, isRequired)}</span></label>${help(id, schema)}${errorOf(id, problem)}</div>`;
    }
    return html`<div class="field"><label for=${id}>${label(name, isRequired)}</label>${help(id, schema)}${this.#control(schema, value, place, set, aria)}${errorOf(id, problem)}</div>`;
  }

  /**
   * @param {Schema} schema
   * @param {any} value
   * @param {string[]} place
   * @param {(value: any) => void} set
   * @param {{ id: string, described: any, invalid: string }} aria
   * @returns {unknown}
   */
  #control(schema, value, place, set, { id, described, invalid }) {
    if (schema.enum || schema.const !== undefined) {
      const options = schema.enum ?? [schema.const];
      const index = options.findIndex((/** @type {any} */ each) => JSON.stringify(each) === JSON.stringify(value));
      return html`<span class="select"><select id=${id} aria-describedby=${described} aria-invalid=${invalid} @change=${(/** @type {any} */ event) => set(options[event.target.value])}>
        <option value="" ?selected=${index < 0}>–</option>
        ${options.map((/** @type {any} */ each, /** @type {number} */ at) => html`<option value=${at} ?selected=${at === index}>${String(each)}</option>`)}
      </select></span>`;
    }
    if (schema.type === "string") {
      const change = (/** @type {any} */ event) => set(event.target.value === "" ? undefined : event.target.value);
      const sample = schema.examples?.[0] ?? "";
      if ((schema.maxLength ?? 0) > LONG_TEXT) {
        return html`<textarea id=${id} rows="3" aria-describedby=${described} aria-invalid=${invalid} placeholder=${sample} .value=${live(value ?? "")} @input=${change}></textarea>`;
      }
      return html`<input id=${id} type=${TYPES[schema.format ?? ""] ?? "text"} autocomplete="off" aria-describedby=${described} aria-invalid=${invalid} placeholder=${sample} .value=${live(value ?? "")} @input=${change} />`;
    }
    if (schema.type === "integer" || schema.type === "number") {
      const change = (/** @type {any} */ event) => {
        const { value: text } = event.target;
        const number = Number(text);
        if (text.trim() && Number.isNaN(number)) return this.#draft(place, text, "Enter a number");
        this.#drafts.delete(place.join("/"));
        set(text.trim() ? number : undefined);
      };
      const draft = this.#drafts.get(place.join("/"))?.text;
      return html`<input id=${id} inputmode=${schema.type === "integer" ? "numeric" : "decimal"} autocomplete="off" aria-describedby=${described} aria-invalid=${invalid}
        placeholder=${schema.default ?? ""} .value=${live(draft ?? String(value ?? ""))} @input=${change} />`;
    }
    if (schema.type === "array" && isPlain(this.#resolve(schema.items ?? {}))) return this.#list(schema, value ?? [], place, set, id);
    if (schema.type === "object" && schema.properties) {
      return html`<button type="button" class="button small" id=${id} @click=${() => set(this.#initial({ ...schema, default: undefined }))}>${icon("plus")}Add</button>`;
    }
    return this.#json(schema, value, place, set, "", id);
  }

  /**
   * @param {Schema} schema
   * @param {any[]} values
   * @param {string[]} place
   * @param {(value: any) => void} set
   * @param {string} id
   * @returns {unknown}
   */
  #list(schema, values, place, set, id) {
    const items = this.#resolve(schema.items);
    return html`<ul class="list-field">
      ${values.map((each, index) => html`<li>${this.#control(items, each, [...place, String(index)], (next) => set(values.with(index, next ?? "")), { id: `${id}-${index}`, described: nothing, invalid: "false" })}
        <button type="button" class="icon-button" aria-label="Remove" @click=${() => set(values.length > 1 ? values.toSpliced(index, 1) : undefined)}>${icon("close")}</button></li>`)}
      <li><button type="button" class="button small" id=${id} @click=${() => set([...values, this.#initial(items) ?? (items.type === "string" ? "" : items.type === "boolean" ? false : 0)])}>${icon("plus")}Add</button></li>
    </ul>`;
  }

  /**
   * @param {Schema} schema
   * @param {any} value
   * @param {string[]} place
   * @param {(value: any) => void} set
   * @param {string} name
   * @param {string} [id]
   */
  #json(schema, value, place, set, name, id = "field-json") {
    const draft = this.#drafts.get(place.join("/"));
    const change = (/** @type {any} */ event) => {
      const { value: text } = event.target;
      try {
        const next = text.trim() ? JSON.parse(text) : undefined;
        this.#drafts.delete(place.join("/"));
        set(next);
      } catch (/** @type {any} */ error) {
        this.#draft(place, text, `This is not JSON: ${error.message}`);
      }
    };
    return html`${name ? html`<label for=${id}>${name} (JSON)</label>` : nothing}
      <textarea class="mono" id=${id} rows="5" spellcheck="false" placeholder="JSON" aria-invalid=${String(Boolean(draft))}
        .value=${live(draft?.text ?? (value === undefined ? "" : JSON.stringify(value, null, 2)))} @change=${change}></textarea>
      ${name && draft ? html`<p class="field-error">${draft.detail}</p>` : nothing}`;
  }

  /**
   * @param {string[]} place
   * @param {string} text
   * @param {string} detail
   */
  #draft(place, text, detail) {
    this.#drafts.set(place.join("/"), { text, detail });
    this.onChange();
  }

  /** @param {string[]} place */
  #problemAt(place) {
    const draft = this.#drafts.get(place.join("/"));
    if (draft) return draft.detail;
    const pointer = `/input/${place.map((each) => each.replaceAll("~", "~0").replaceAll("/", "~1")).join("/")}`;
    return this.problems.find((each) => each.pointer === pointer || each.pointer.startsWith(`${pointer}/`))?.detail;
  }
}

/** @type {Record<string, string>} */
const TYPES = { email: "email", uri: "url", date: "date" };

/** @param {Schema} schema */
function isPlain({ type, enum: options }) {
  return Boolean(options) || ["string", "integer", "number", "boolean"].includes(type);
}

/**
 * @param {string} name
 * @param {boolean} isRequired
 */
function label(name, isRequired) {
  return html`${name}${isRequired ? html`<span class="required" title="Required">required</span>` : nothing}`;
}

/**
 * @param {string} id
 * @param {Schema} schema
 */
function help(id, schema) {
  const bounds = [
    schema.minimum !== undefined && schema.maximum !== undefined ? `${schema.minimum} to ${schema.maximum}` : null,
    ["string", "number"].includes(typeof schema.default) && schema.default !== "" ? `${schema.default} by default` : null,
    schema.maxLength ? `up to ${schema.maxLength.toLocaleString()} characters` : null,
  ].filter(Boolean);
  const text = [schema.description, bounds.length ? `${bounds.join(", ").replace(/^./, (letter) => letter.toUpperCase())}.` : null].filter(Boolean).join(" ");
  return text ? html`<p class="help" id="${id}-help">${text}</p>` : nothing;
}

/**
 * @param {string} id
 * @param {string | undefined} problem
 */
function errorOf(id, problem) {
  return problem ? html`<p class="field-error" id="${id}-error" role="alert">${problem}</p>` : nothing;
}
