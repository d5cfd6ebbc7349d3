import { ArrowRight } from "lucide-react";
import { visible } from "../../ui/visible";
import type { SettingChange } from "./compare";
import styles from "./settings.module.css";

/** Settings in words: what each was, and what it became. */
export function SettingChanges({ changes }: { changes: readonly SettingChange[] }) {
  if (changes.length === 0) return null;
  return (
    <dl className={styles.settings} aria-label="Changed settings">
      {changes.map(({ label, before, after }) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>
            <Value text={before} none="not set" />
            <ArrowRight aria-hidden />
            <span className="visually-hidden">becomes</span>
            <Value text={after} none="removed" />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ text, none }: { text: string | undefined; none: string }) {
  if (text === undefined) return <em>{none}</em>;
  if (text === "") return <em>empty</em>;
  return (
    <bdi>
      <code>{visible(text)}</code>
    </bdi>
  );
}
