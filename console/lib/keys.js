/** Keys of one letter, which can be switched off (WCAG 2.1.4), and not while somebody types. */

const OFF = "asyncjobs.keys";
const SEQUENCE_MS = 1_200;

/** @typedef {{ keys: string, does: string, run: () => void }} Shortcut */

export class Keys {
  /** @type {() => Shortcut[]} */ #shortcuts;
  #first = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {() => Shortcut[]} shortcuts those of the page that is shown */
  constructor(shortcuts) {
    this.#shortcuts = shortcuts;
    addEventListener("keydown", (event) => this.#press(event));
  }

  get areOn() {
    return localStorage.getItem(OFF) !== "off";
  }

  toggle() {
    localStorage.setItem(OFF, this.areOn ? "off" : "on");
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const target = /** @type {HTMLElement} */ (event.composedPath()[0]);
    const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName ?? "") || target.isContentEditable;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape" && isTyping) return target.blur();
    if (isTyping || document.querySelector("dialog[open]") || (!this.areOn && event.key !== "?")) return;
    const pressed = this.#first ? `${this.#first} ${event.key}` : event.key;
    this.#first = "";
    clearTimeout(this.#timer);
    const all = this.#shortcuts();
    const found = all.find(({ keys }) => keys === pressed);
    if (found) {
      event.preventDefault();
      found.run();
    } else if (all.some(({ keys }) => keys.startsWith(`${pressed} `))) {
      this.#first = pressed;
      this.#timer = setTimeout(() => (this.#first = ""), SEQUENCE_MS);
    }
  }
}
