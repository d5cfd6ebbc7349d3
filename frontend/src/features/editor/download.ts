import { get } from "../../api/client";

/** Saves the deployed version as a zip; fetched with the session's header, then handed over. */
export async function downloadApp(appId: string): Promise<void> {
  const path = `/api/apps/${encodeURIComponent(appId)}/download`;
  const response = await get(path, "application/zip");
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = `${appId}.zip`;
  link.click();
  // The browser reads it after this turn.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
