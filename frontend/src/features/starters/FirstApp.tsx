import { ArrowRight, FileCode2, FolderTree, Zap } from "lucide-react";
import { useLocation } from "wouter";
import { toast } from "../../ui/toasts";
import { beginDraft, NOT_KEPT } from "./begin";
import { STARTERS, type Starter } from "./starters";
import styles from "./starters.module.css";

export const STARTER_ICONS = { hello: Zap, todo: FileCode2, notes: FolderTree } as const;

/** The dashboard of somebody who has no app: three ways to the first one, each one click. */
export function FirstApp({ userId }: { userId: string }) {
  const [, navigate] = useLocation();
  function start(starter: Starter): void {
    const address = beginDraft(userId, starter, starter.suggestedName);
    if (address) navigate(address);
    else toast(NOT_KEPT, "danger");
  }
  return (
    <section className={styles.first} aria-labelledby="first">
      <h2 id="first">Ship your first app</h2>
      <p>
        Start from something that works, change it, press Deploy. A minute from now it has its own
        address.
      </p>
      <ul className={styles.choices}>
        {STARTERS.map((starter) => {
          const Icon = STARTER_ICONS[starter.id as keyof typeof STARTER_ICONS];
          const count = Object.keys(starter.files).length;
          return (
            <li key={starter.id}>
              <button type="button" className={styles.choice} onClick={() => start(starter)}>
                <Icon aria-hidden />
                <strong>{starter.title}</strong>
                <span>{starter.about}</span>
                <em>
                  {count === 1 ? "1 file" : `${count} files`} <ArrowRight aria-hidden />
                </em>
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
