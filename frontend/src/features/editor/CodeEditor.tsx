import { useEffect, useEffectEvent, useRef } from "react";
import type { Diagnostic } from "../../api/types";
import { APPLE } from "../../app/platform";
import { useIsDark } from "../../app/theme";
import { Echoes } from "./echoes";
import styles from "./editor.module.css";
import { markersOf, utf16Column } from "./markers";
import { FONT, monaco, themeName } from "./monaco";
import { languageOf } from "./paths";

/** A wish to show a place; a new object is a new wish, even for the same place. */
export interface Place {
  path: string;
  line: number;
  column: number;
}

interface Props {
  files: Readonly<Record<string, string>>;
  path: string | undefined;
  diagnostics: readonly Diagnostic[];
  goTo: Place | undefined;
  onEdit: (path: string, text: string) => void;
  onDeploy: () => void;
  onSave: () => void;
  /** Whether Tab moves the focus instead of indenting. */
  onTabMovesFocus: (moves: boolean) => void;
}

type Editor = monaco.editor.IStandaloneCodeEditor;
const OWNER = "check";

export default function CodeEditor(props: Props) {
  const { files, path, diagnostics, goTo } = props;
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor>(undefined);
  const models = useRef(new Map<string, monaco.editor.ITextModel>());
  const views = useRef(new Map<string, monaco.editor.ICodeEditorViewState | null>());
  const shown = useRef<string>(undefined);
  const echoes = useRef(new Echoes());
  const dark = useIsDark();
  const onEdit = useEffectEvent(props.onEdit);
  const onDeploy = useEffectEvent(props.onDeploy);
  const onSave = useEffectEvent(props.onSave);
  const onTabMovesFocus = useEffectEvent(props.onTabMovesFocus);

  useEffect(() => {
    if (!host.current) return;
    const created = create(host.current, {
      deploy: () => onDeploy(),
      save: () => onSave(),
      tab: (moves) => onTabMovesFocus(moves),
    });
    editor.current = created;
    const known = models.current;
    return () => {
      created.dispose();
      for (const model of known.values()) model.dispose();
      known.clear();
      views.current.clear();
      shown.current = undefined;
    };
  }, []);

  useEffect(() => monaco.editor.setTheme(themeName(dark)), [dark]);

  // The workspace is the truth; models follow it where it changed by other means than typing.
  useEffect(() => {
    const known = models.current;
    for (const [name, model] of known) {
      if (files[name] === undefined) {
        model.dispose();
        known.delete(name);
        views.current.delete(name);
      }
    }
    for (const [name, text] of Object.entries(files)) {
      const model = known.get(name);
      if (!model) {
        const added = createModel(name, text);
        added.onDidChangeContent(() => {
          const typed = added.getValue();
          echoes.current.sent(name, typed);
          onEdit(name, typed);
        });
        known.set(name, added);
      } else if (
        !echoes.current.isLate(name, text, model.getValue()) &&
        model.getValue() !== text
      ) {
        model.setValue(text);
      }
    }
  }, [files]);

  useEffect(() => {
    const current = editor.current;
    const model = path === undefined ? undefined : models.current.get(path);
    if (!current || current.getModel() === (model ?? null)) return;
    if (shown.current !== undefined) views.current.set(shown.current, current.saveViewState());
    shown.current = path;
    current.setModel(model ?? null);
    current.restoreViewState((path !== undefined && views.current.get(path)) || null);
    current.updateOptions({ ariaLabel: `Code of ${path ?? "no file"}. Escape, then Tab leaves.` });
  });

  useEffect(() => {
    for (const [name, model] of models.current) {
      const own = diagnostics.filter((diagnostic) => diagnostic.path === name);
      const { Error: error, Warning: warning } = monaco.MarkerSeverity;
      monaco.editor.setModelMarkers(
        model,
        OWNER,
        markersOf(own, model.getValue()).map(({ isError, ...marker }) => ({
          ...marker,
          severity: isError ? error : warning,
        })),
      );
    }
  }, [diagnostics]);

  useEffect(() => {
    const current = editor.current;
    const model = goTo && models.current.get(goTo.path);
    if (!current || !model || current.getModel() !== model) return;
    const lineNumber = Math.min(goTo.line, model.getLineCount());
    const column = utf16Column(model.getLineContent(lineNumber), goTo.column);
    current.setPosition({ lineNumber, column });
    current.revealLineInCenterIfOutsideViewport(lineNumber);
    current.focus();
  }, [goTo]);

  return <div ref={host} className={styles.code} data-testid="editor" />;
}

function createModel(path: string, text: string): monaco.editor.ITextModel {
  const model = monaco.editor.createModel(text, languageOf(path));
  // Brackets in three colours say little and are loud.
  const bracketColorizationOptions = { enabled: false, independentColorPoolPerBracketType: false };
  model.updateOptions({ bracketColorizationOptions });
  return model;
}

/** An editor with the platform's keys: deploy, save, and a way out for the keyboard. */
function create(
  host: HTMLElement,
  on: { deploy: () => void; save: () => void; tab: (moves: boolean) => void },
): Editor {
  const editor = monaco.editor.create(host, {
    ...FONT,
    model: null,
    automaticLayout: true,
    accessibilitySupport: "auto",
    fixedOverflowWidgets: true,
    insertSpaces: true,
    tabSize: 4,
    detectIndentation: true,
    minimap: { enabled: false },
    overviewRulerBorder: false,
    padding: { top: 12, bottom: 12 },
    renderLineHighlightOnlyWhenFocus: true,
    renderFinalNewline: "on", // dimmed, its number could not be read
    rulers: [],
    scrollBeyondLastLine: false,
    smoothScrolling: false,
    stickyScroll: { enabled: false },
    unusualLineTerminators: "off",
    wordBasedSuggestions: "currentDocument",
    wordWrap: "off",
    lineNumbersMinChars: 3,
    folding: true,
  });
  const { KeyMod, KeyCode } = monaco;
  editor.addCommand(KeyMod.CtrlCmd | KeyCode.Enter, on.deploy);
  editor.addCommand(KeyMod.CtrlCmd | KeyCode.KeyS, on.save);
  // Ctrl+M switches for good what Tab does. Escape, with nothing else to close, lets the next Tab
  // leave: coming back makes it indent again.
  let tabMoves = false;
  const setTab = (moves: boolean) => {
    editor.updateOptions({ tabFocusMode: moves });
    on.tab(moves);
  };
  editor.addCommand((APPLE ? KeyMod.WinCtrl : KeyMod.CtrlCmd) | KeyCode.KeyM, () => {
    tabMoves = !tabMoves;
    setTab(tabMoves);
  });
  editor.addCommand(
    KeyCode.Escape,
    () => setTab(true),
    "editorTextFocus && !suggestWidgetVisible && !findWidgetVisible && !editorHasSelection && !editorHasMultipleSelections && !markersNavigationVisible && !inSnippetMode && !editorHoverVisible",
  );
  editor.onDidBlurEditorWidget(() => setTab(tabMoves));
  return editor;
}
