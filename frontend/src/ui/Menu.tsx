import { type ComponentProps, type KeyboardEvent, type ReactNode, useId, useRef } from "react";
import { Button } from "./Button";
import styles from "./Menu.module.css";

export interface MenuItem {
  label: string;
  icon?: ReactNode;
  danger?: boolean;
  disabled?: boolean;
  checked?: boolean;
  onSelect: () => void;
}

const GAP = 6;

/**
 * A menu button after the ARIA practices, on the browser's popover: it stands above everything,
 * closes on Escape and on a click elsewhere. `null` in `items` draws a line.
 */
export function Menu({
  label,
  items,
  children,
  ...button
}: { label: string; items: (MenuItem | null)[] } & Omit<ComponentProps<typeof Button>, "onClick">) {
  const id = useId();
  const trigger = useRef<HTMLSpanElement>(null);
  const menu = useRef<HTMLDivElement>(null);

  function place(): void {
    const anchor = trigger.current?.getBoundingClientRect();
    const element = menu.current;
    if (!anchor || !element) return;
    const { offsetWidth: width, offsetHeight: height } = element;
    const below = anchor.bottom + GAP;
    const top = below + height > window.innerHeight ? anchor.top - GAP - height : below;
    element.style.top = `${Math.max(GAP, top)}px`;
    const left = Math.min(anchor.right - width, window.innerWidth - width - GAP);
    element.style.left = `${Math.max(GAP, left)}px`;
  }

  function entries(): HTMLElement[] {
    return [...(menu.current?.querySelectorAll<HTMLElement>("button:not(:disabled)") ?? [])];
  }

  function move(event: KeyboardEvent): void {
    const all = entries();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Tab") menu.current?.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    all.at(to % all.length)?.focus();
  }

  function choose(item: MenuItem): void {
    menu.current?.hidePopover();
    trigger.current?.querySelector("button")?.focus();
    item.onSelect();
  }

  return (
    <span ref={trigger} className={styles.anchor}>
      <Button
        aria-haspopup="menu"
        aria-label={children === undefined ? label : undefined}
        title={children === undefined ? label : undefined}
        popoverTarget={id}
        {...button}
      >
        {children}
      </Button>
      <div
        ref={menu}
        id={id}
        popover="auto"
        role="menu"
        aria-label={label}
        tabIndex={-1}
        className={styles.menu}
        onKeyDown={move}
        onToggle={(event) => {
          if (event.newState !== "open") return;
          place();
          entries()[0]?.focus();
        }}
      >
        {items.map((item, index) =>
          item === null ? (
            // biome-ignore lint/suspicious/noArrayIndexKey: lines have no identity of their own
            <hr key={index} className={styles.line} />
          ) : (
            // biome-ignore lint/a11y/useAriaPropsSupportedByRole: only menuitemradio gets aria-checked
            <button
              key={item.label}
              type="button"
              role={item.checked === undefined ? "menuitem" : "menuitemradio"}
              aria-checked={item.checked}
              tabIndex={-1}
              className={`${styles.item} ${item.danger ? styles.danger : ""}`}
              disabled={item.disabled}
              onClick={() => choose(item)}
            >
              {item.icon}
              <span>{item.label}</span>
              {item.checked ? <span className={styles.check}>✓</span> : null}
            </button>
          ),
        )}
      </div>
    </span>
  );
}
