// Control and bidirectional characters: they would not show themselves, but change what is around.
const HIDDEN = /(?![\t\n])[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text by other hands as it really is: hidden characters stand as their code points. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (hidden) => {
    const code = hidden.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });
}
