import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Link } from "wouter";
import { answer, http } from "../../api/client";
import { ApiError, isAbort, toApiError } from "../../api/errors";
import { meQuery } from "../../api/queries";
import type { App } from "../../api/types";
import { Page } from "../../app/Page";
import { PageLoading } from "../../app/PageLoading";
import { ErrorNotice } from "../../ui/Notice";
import { type DraftKey, loadDraft, resume } from "../drafts/drafts";
import { Editor } from "./Editor";
import { editorKey } from "./identity";
import type { Workspace } from "./workspace";

type Kind = DraftKey["kind"];

/** Loads what is edited: an app with its draft over it, or a draft that was never deployed. */
export default function EditorPage({ kind, id }: { kind: Kind; id: string }) {
  const { data: me, error } = useQuery(meQuery);
  if (error) return <Unavailable error={toApiError(error)} />;
  if (!me) return <PageLoading />;
  return <Loader key={editorKey(kind, id)} kind={kind} id={id} userId={me.user_id} />;
}

interface Loaded {
  workspace: Workspace;
  app: App | undefined;
}

function Loader({ kind, id, userId }: { kind: Kind; id: string; userId: string }) {
  const [loaded, setLoaded] = useState<Loaded>();
  const [error, setError] = useState<ApiError>();
  // Only what it was mounted for is loaded: when its draft becomes an app, the editor stays.
  const [first] = useState({ kind, id });

  useEffect(() => {
    const controller = new AbortController();
    load({ userId, ...first }, controller.signal).then(setLoaded, (thrown) => {
      if (!isAbort(thrown)) setError(toApiError(thrown));
    });
    return () => controller.abort();
  }, [userId, first]);

  if (error) return <Unavailable error={error} />;
  if (!loaded) return <PageLoading />;
  return <Editor {...loaded} kind={kind} id={id} userId={userId} />;
}

async function load(key: DraftKey, signal: AbortSignal): Promise<Loaded> {
  const draft = loadDraft(key);
  if (key.kind === "drafts") {
    const workspace = resume(undefined, draft);
    if (workspace) return { workspace, app: undefined };
    throw new ApiError(
      404,
      "no_draft",
      "This draft is not in this browser.",
      "Drafts live in the browser they were written in until they are deployed.",
    );
  }
  const params = { path: { app_id: key.id } };
  const app = await answer(http.GET("/api/apps/{app_id}", { params, signal }));
  const { name, entrypoint, files, env, commit } = app;
  const workspace = resume({ name, entrypoint, files, env, commit }, draft);
  if (!workspace) throw new Error("an app always has a workspace");
  return { workspace, app };
}

function Unavailable({ error }: { error: ApiError }) {
  return (
    <Page title={error.status === 404 ? "Not found" : "Not available"}>
      <ErrorNotice error={error} />
      <p>
        <Link href="/">Back to your apps</Link>
      </p>
    </Page>
  );
}
