/** Which draft an app was made from in this page: the editor of both is one and stays mounted. */
const origins = new Map<string, string>();

export function becameApp(draftId: string, appId: string): void {
  origins.set(appId, draftId);
}

export function editorKey(kind: "apps" | "drafts", id: string): string {
  return kind === "apps" ? (origins.get(id) ?? id) : id;
}
