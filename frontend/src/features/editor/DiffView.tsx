import { useEffect, useRef } from "react";
import { useIsDark } from "../../app/theme";
import styles from "./conflict.module.css";
import { FONT, monaco, themeName } from "./monaco";
import { languageOf } from "./paths";
import type { Difference } from "./workspace";

/** Two versions of one file side by side; one below the other where there is no room. */
export function DiffView({ difference }: { difference: Difference }) {
  const host = useRef<HTMLDivElement>(null);
  const dark = useIsDark();

  useEffect(() => {
    if (!host.current) return;
    const language = languageOf(difference.path);
    const original = monaco.editor.createModel(difference.before ?? "", language);
    const modified = monaco.editor.createModel(difference.after ?? "", language);
    const editor = monaco.editor.createDiffEditor(host.current, {
      ...FONT,
      automaticLayout: true,
      readOnly: true,
      minimap: { enabled: false },
      renderOverviewRuler: false,
      scrollBeyondLastLine: false,
      renderSideBySideInlineBreakpoint: 620,
      hideUnchangedRegions: { enabled: true },
    });
    editor.setModel({ original, modified });
    const { path } = difference;
    editor.getOriginalEditor().updateOptions({ ariaLabel: `${path} as the app has it now` });
    editor.getModifiedEditor().updateOptions({ ariaLabel: `${path} in your draft` });
    return () => {
      editor.dispose();
      original.dispose();
      modified.dispose();
    };
  }, [difference]);

  useEffect(() => monaco.editor.setTheme(themeName(dark)), [dark]);

  return <div ref={host} className={styles.diff} />;
}
