import { useQuery } from "@tanstack/react-query";
import { KeyRound, LogOut, Monitor, MonitorOff, Moon, Sun } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { meQuery } from "../../api/queries";
import { end } from "../../api/session";
import { chooseTheme, type Theme, useTheme } from "../../app/theme";
import { Menu, type MenuItem } from "../../ui/Menu";
import styles from "./account.module.css";
import { LogOutEverywhere } from "./LogOutEverywhere";

const THEMES: { theme: Theme; label: string; icon: MenuItem["icon"] }[] = [
  { theme: "system", label: "System theme", icon: <Monitor aria-hidden /> },
  { theme: "light", label: "Light theme", icon: <Sun aria-hidden /> },
  { theme: "dark", label: "Dark theme", icon: <Moon aria-hidden /> },
];

export function AccountMenu() {
  const { data: me } = useQuery(meQuery);
  const [, navigate] = useLocation();
  const [leaving, setLeaving] = useState(false);
  const theme = useTheme();
  const items: (MenuItem | null)[] = [
    {
      label: "Account and password",
      icon: <KeyRound aria-hidden />,
      onSelect: () => navigate("/account"),
    },
    null,
    ...THEMES.map(({ theme: value, label, icon }) => ({
      label,
      icon,
      checked: value === theme,
      onSelect: () => chooseTheme(value),
    })),
    null,
    {
      label: "Log out everywhere…",
      icon: <MonitorOff aria-hidden />,
      onSelect: () => setLeaving(true),
    },
    { label: "Log out", icon: <LogOut aria-hidden />, onSelect: () => end("logged-out") },
  ];
  return (
    <>
      <Menu
        label={me ? `Account menu of ${me.username}` : "Account menu"}
        look="quiet"
        icon={
          <span className={styles.initial} aria-hidden>
            {me?.username.slice(0, 1).toUpperCase()}
          </span>
        }
        items={items}
      />
      {leaving ? <LogOutEverywhere onClose={() => setLeaving(false)} /> : null}
    </>
  );
}
