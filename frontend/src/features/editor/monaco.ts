/** Monaco, bundled: the features and languages that this editor has, and its one worker. */
import "monaco-editor/features/bracketMatching/register";
import "monaco-editor/features/caretOperations/register";
import "monaco-editor/features/clipboard/register";
import "monaco-editor/features/codeEditor/register";
import "monaco-editor/features/codicon/register";
import "monaco-editor/features/comment/register";
import "monaco-editor/features/contextmenu/register";
import "monaco-editor/features/cursorUndo/register";
import "monaco-editor/features/diffEditor/register";
import "monaco-editor/features/find/register";
import "monaco-editor/features/folding/register";
import "monaco-editor/features/gotoError/register";
import "monaco-editor/features/gotoLine/register";
import "monaco-editor/features/hover/register";
import "monaco-editor/features/indentation/register";
import "monaco-editor/features/lineSelection/register";
import "monaco-editor/features/linesOperations/register";
import "monaco-editor/features/links/register";
import "monaco-editor/features/multicursor/register";
import "monaco-editor/features/quickCommand/register";
import "monaco-editor/features/readOnlyMessage/register";
import "monaco-editor/features/smartSelect/register";
import "monaco-editor/features/snippet/register";
// The feature of that name brings inline suggestions only.
import "monaco-editor/editor/contrib/suggest/browser/suggestController";
import "monaco-editor/features/unicodeHighlighter/register";
import "monaco-editor/features/wordHighlighter/register";
import "monaco-editor/features/wordOperations/register";
import "monaco-editor/features/wordPartOperations/register";
import "monaco-editor/languages/definitions/css/register";
import "monaco-editor/languages/definitions/html/register";
import "monaco-editor/languages/definitions/javascript/register";
import "monaco-editor/languages/definitions/markdown/register";
import "monaco-editor/languages/definitions/python/register";
import * as monaco from "monaco-editor/editor";
import EditorWorker from "monaco-editor/editor/editor.worker.js?worker";

// Words of the file for completion, links and differences are computed there.
self.MonacoEnvironment = { getWorker: () => new EditorWorker() };

// The palette of ui/tokens.css once more: Monaco reads no CSS variables.
monaco.editor.defineTheme("platform-light", {
  base: "vs",
  inherit: true,
  rules: [
    { token: "", foreground: "14201d" },
    { token: "comment", foreground: "5e6f69" },
    { token: "keyword", foreground: "8a2c7d" },
    { token: "string", foreground: "17703a" },
    { token: "string.escape", foreground: "0a6a60" },
    { token: "number", foreground: "2559a8" },
    { token: "tag", foreground: "855000" },
  ],
  colors: {
    "editor.background": "#ffffff",
    "editor.foreground": "#14201d",
    "editor.lineHighlightBackground": "#f2f6f5",
    "editor.lineHighlightBorder": "#f2f6f5",
    "editor.selectionBackground": "#c7e7e1",
    "editorCursor.foreground": "#0b6f65",
    "editorLineNumber.foreground": "#66756f",
    "editorLineNumber.activeForeground": "#14201d",
    "editorIndentGuide.background1": "#e6ecea",
    "editorWidget.background": "#ffffff",
    "editorWidget.border": "#dde4e1",
    "diffEditor.insertedLineBackground": "#e2f4e8",
    "diffEditor.insertedTextBackground": "#a8dcb9",
    "diffEditor.removedLineBackground": "#fdebe9",
    "diffEditor.removedTextBackground": "#f6c0bb",
    focusBorder: "#0b6f65",
  },
});
monaco.editor.defineTheme("platform-dark", {
  base: "vs-dark",
  inherit: true,
  rules: [
    { token: "", foreground: "e4ecea" },
    { token: "comment", foreground: "84958f" },
    { token: "keyword", foreground: "d59ae0" },
    { token: "string", foreground: "8fd6a5" },
    { token: "string.escape", foreground: "45cdb9" },
    { token: "number", foreground: "8db7f2" },
    { token: "tag", foreground: "eab35c" },
  ],
  colors: {
    "editor.background": "#141a19",
    "editor.foreground": "#e4ecea",
    "editor.lineHighlightBackground": "#1a2221",
    "editor.lineHighlightBorder": "#1a2221",
    "editor.selectionBackground": "#1f4d47",
    "editorCursor.foreground": "#45cdb9",
    "editorLineNumber.foreground": "#84958f",
    "editorLineNumber.activeForeground": "#e4ecea",
    "editorIndentGuide.background1": "#26302e",
    "editorWidget.background": "#1a2221",
    "editorWidget.border": "#26302e",
    "diffEditor.insertedLineBackground": "#12291b",
    "diffEditor.insertedTextBackground": "#22573a",
    "diffEditor.removedLineBackground": "#361917",
    "diffEditor.removedTextBackground": "#6e2f2a",
    focusBorder: "#45cdb9",
  },
});

export const FONT = {
  fontFamily: '"JetBrains Mono Variable", ui-monospace, Menlo, Consolas, monospace',
  fontSize: 13.5,
  lineHeight: 21,
  fontLigatures: false,
} as const;

export function themeName(dark: boolean): string {
  return dark ? "platform-dark" : "platform-light";
}

export { monaco };
