/**
 * What was typed and has not come back yet. Typing is faster than rendering: a text that arrives
 * late is not a change by somebody else, and to set it would lose the keys pressed since.
 */
export class Echoes {
  readonly #waiting = new Map<string, string[]>();

  /** `text` of the file was reported. */
  sent(path: string, text: string): void {
    this.#waiting.set(path, [...(this.#waiting.get(path) ?? []), text]);
  }

  /** Whether `text` is an older report coming back while the editor holds `current`. */
  isLate(path: string, text: string, current: string): boolean {
    const waiting = this.#waiting.get(path) ?? [];
    const at = waiting.indexOf(text);
    if (text === current || at < 0) {
      this.#waiting.delete(path);
      return false;
    }
    this.#waiting.set(path, waiting.slice(at + 1));
    return true;
  }
}
