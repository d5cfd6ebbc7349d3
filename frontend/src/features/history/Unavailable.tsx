import { Link } from "wouter";
import type { ApiError } from "../../api/errors";
import { Page } from "../../app/Page";
import { ErrorNotice } from "../../ui/Notice";

/** In place of a history, or of one version of it, that cannot be had. */
export function Unavailable({ error, appId }: { error: ApiError; appId?: string }) {
  return (
    <Page title={error.status === 404 ? "Not found" : "Not available"}>
      <ErrorNotice error={error} />
      <p>
        {appId ? (
          <Link href={`/apps/${appId}/history`}>Back to the app's history</Link>
        ) : (
          <Link href="/">Back to your apps</Link>
        )}
      </p>
    </Page>
  );
}
