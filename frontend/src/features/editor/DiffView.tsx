import { useEffect, useEffectEvent, useRef } from "react";
import { useIsDark } from "../../app/theme";
import styles from "./conflict.module.css";
import { FONT, monaco, themeName } from "./monaco";
import { languageOf } from "./paths";
import type { Difference } from "./workspace";

const CONFLICT = ["as the app has it now", "in your draft"] as const;

/** Two versions of one file side by side; one below the other where there is no room. */
export function DiffView({
  difference,
  sides = CONFLICT,
  inlineBelow = 620,
  className = styles.diff,
  onEdit,
}: {
  difference: Difference;
  /** What each side is, for those who hear it; keep the array the same between renders. */
  sides?: readonly [string, string];
  /** In pixels of the view itself. */
  inlineBelow?: number;
  className?: string;
  /** Makes the second side one to write in; hears its text. */
  onEdit?: (path: string, text: string) => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const dark = useIsDark();
  const writable = onEdit !== undefined;
  const edited = useEffectEvent((text: string) => onEdit?.(difference.path, text));

  useEffect(() => {
    if (!host.current) return;
    const language = languageOf(difference.path);
    const original = monaco.editor.createModel(difference.before ?? "", language);
    const modified = monaco.editor.createModel(difference.after ?? "", language);
    const editor = monaco.editor.createDiffEditor(host.current, {
      ...FONT,
      automaticLayout: true,
      readOnly: !writable,
      originalEditable: false,
      minimap: { enabled: false },
      renderOverviewRuler: false,
      scrollBeyondLastLine: false,
      renderSideBySideInlineBreakpoint: inlineBelow,
      hideUnchangedRegions: { enabled: true },
    });
    editor.setModel({ original, modified });
    const { path } = difference;
    editor.getOriginalEditor().updateOptions({ ariaLabel: `${path} ${sides[0]}` });
    editor.getModifiedEditor().updateOptions({ ariaLabel: `${path} ${sides[1]}` });
    const heard = modified.onDidChangeContent(() => edited(modified.getValue()));
    return () => {
      heard.dispose();
      editor.dispose();
      original.dispose();
      modified.dispose();
    };
  }, [difference, sides, inlineBelow, writable]);

  useEffect(() => monaco.editor.setTheme(themeName(dark)), [dark]);

  return <div ref={host} className={className} />;
}
