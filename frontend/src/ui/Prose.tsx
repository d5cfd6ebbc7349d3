import { Fragment } from "react";
import { visible } from "./visible";

/** A message of the platform: what stands between backticks in it is code. */
export function Prose({ text }: { text: string }) {
  return visible(text)
    .split("`")
    .map((part, index) =>
      index % 2 === 1 ? (
        // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text never move
        <code key={index}>{part}</code>
      ) : (
        // biome-ignore lint/suspicious/noArrayIndexKey: as above
        <Fragment key={index}>{part}</Fragment>
      ),
    );
}
