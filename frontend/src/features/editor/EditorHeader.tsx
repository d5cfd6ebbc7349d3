import {
  BookOpen,
  CircleDot,
  Download,
  Ellipsis,
  ExternalLink,
  History,
  Rocket,
  RotateCw,
  Save,
  Settings,
  Trash2,
  Undo2,
} from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { toApiError } from "../../api/errors";
import type { AppState } from "../../api/types";
import { Brand } from "../../app/Brand";
import { APPLE } from "../../app/platform";
import { Button, ButtonLink } from "../../ui/Button";
import { Menu, type MenuItem } from "../../ui/Menu";
import { StateBadge } from "../../ui/StateBadge";
import { toast } from "../../ui/toasts";
import { AccountMenu } from "../account/AccountMenu";
import { downloadApp } from "./download";
import type { OpenDialog } from "./EditorDialogs";
import styles from "./header.module.css";
import type { DraftState } from "./useDraft";

const DEPLOY_KEYS = APPLE ? "⌘ Enter" : "Ctrl Enter";

export function EditorHeader({
  name,
  appId,
  url,
  state,
  dirty,
  kept,
  sending,
  onDeploy,
  onRestart,
  onSave,
  onDialog,
}: {
  name: string;
  appId: string | undefined;
  url: string | undefined;
  state: AppState | "draft";
  dirty: boolean;
  kept: DraftState;
  sending: boolean;
  onDeploy: () => void;
  onRestart: () => void;
  onSave: () => void;
  onDialog: (dialog: OpenDialog) => void;
}) {
  const [downloading, setDownloading] = useState(false);
  async function download(): Promise<void> {
    if (appId === undefined || downloading) return;
    setDownloading(true);
    await downloadApp(appId).catch((thrown) => toast(toApiError(thrown).message, "danger"));
    setDownloading(false);
  }
  const deployed: (MenuItem | null)[] = appId
    ? [
        { label: "Restart", icon: <RotateCw aria-hidden />, onSelect: onRestart },
        {
          label: "Download as zip",
          icon: <Download aria-hidden />,
          disabled: downloading,
          onSelect: () => void download(),
        },
      ]
    : [];
  const items: (MenuItem | null)[] = [
    ...deployed,
    { label: "Save draft", icon: <Save aria-hidden />, onSelect: onSave },
    {
      label: "Settings",
      icon: <Settings aria-hidden />,
      onSelect: () => onDialog({ type: "settings" }),
    },
    null,
    appId
      ? {
          label: "Delete app…",
          icon: <Trash2 aria-hidden />,
          danger: true,
          onSelect: () => onDialog({ type: "delete" }),
        }
      : {
          label: "Discard draft…",
          icon: <Trash2 aria-hidden />,
          danger: true,
          onSelect: () => onDialog({ type: "discard" }),
        },
  ];
  return (
    <header className={styles.header}>
      <Brand compact />
      <div className={styles.title}>
        <h1 title={name}>{name}</h1>
        <StateBadge state={state} />
      </div>
      {dirty ? (
        <div className={styles.draft}>
          <span title={kept === "saved" ? "Kept in this browser until you deploy" : undefined}>
            <CircleDot aria-hidden />
            Undeployed changes
          </span>
          <Button
            look="quiet"
            small
            icon={<Undo2 aria-hidden />}
            onClick={() => onDialog({ type: "discard" })}
          >
            Discard
          </Button>
        </div>
      ) : null}
      <div className={styles.actions}>
        <Button
          look="quiet"
          className={styles.wide}
          icon={<Settings aria-hidden />}
          onClick={() => onDialog({ type: "settings" })}
        >
          Settings
        </Button>
        {appId ? (
          <Link href={`/apps/${appId}/history`} asChild>
            <ButtonLink
              look="quiet"
              aria-label="History"
              title="What changed, when and by whom"
              icon={<History aria-hidden />}
            >
              <span className={styles.wide}>History</span>
            </ButtonLink>
          </Link>
        ) : null}
        {url ? <Addresses url={url} /> : null}
        <Button
          look="primary"
          icon={<Rocket aria-hidden />}
          busy={sending}
          aria-keyshortcuts="Control+Enter Meta+Enter"
          title={`Deploy (${DEPLOY_KEYS})`}
          onClick={onDeploy}
        >
          Deploy
        </Button>
        <Menu label="More actions" look="quiet" icon={<Ellipsis aria-hidden />} items={items} />
        <span className={styles.account}>
          <AccountMenu />
        </span>
      </div>
    </header>
  );
}

function Addresses({ url }: { url: string }) {
  const elsewhere = { target: "_blank", rel: "noopener noreferrer" };
  return (
    <>
      <ButtonLink
        look="quiet"
        href={`${url}docs`}
        aria-label="Open docs"
        title={`Open ${url}docs`}
        icon={<BookOpen aria-hidden />}
        {...elsewhere}
      >
        <span className={styles.wide}>Docs</span>
      </ButtonLink>
      <ButtonLink
        href={url}
        aria-label="Open app"
        title={`Open ${url}`}
        icon={<ExternalLink aria-hidden />}
        {...elsewhere}
      >
        <span className={styles.wide}>Open</span>
      </ButtonLink>
    </>
  );
}
