import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { toApiError } from "../../api/errors";
import { packagesQuery } from "../../api/queries";
import type { Package } from "../../api/types";
import { Page } from "../../app/Page";
import { PageLoading } from "../../app/PageLoading";
import { Field } from "../../ui/Field";
import { ErrorNotice } from "../../ui/Notice";
import { Prose } from "../../ui/Prose";
import styles from "./packages.module.css";

export function PackagesPage() {
  const { data, error, isPending } = useQuery(packagesQuery);
  const [sought, setSought] = useState("");
  const found = (data?.packages ?? []).filter(({ module, reason }) =>
    `${module} ${reason}`.toLowerCase().includes(sought.trim().toLowerCase()),
  );
  const packages = found.filter(({ kind }) => kind === "package");
  const standard = found.filter(({ kind }) => kind === "standard library");
  return (
    <Page
      title="Packages"
      intro={
        data
          ? `What your apps may import, as installed where they run: Python ${data.python}.`
          : "What your apps may import."
      }
    >
      {error ? <ErrorNotice error={toApiError(error)} /> : null}
      {isPending ? <PageLoading /> : null}
      {data ? (
        <>
          <Field
            label="Search"
            type="search"
            className={styles.search}
            value={sought}
            onChange={(event) => setSought(event.target.value)}
          />
          <p className="visually-hidden" role="status">
            {found.length} of {data.packages.length} modules
          </p>
          {packages.length > 0 ? <PackageTable title="Installed packages" rows={packages} /> : null}
          {standard.length > 0 ? <PackageTable title="Standard library" rows={standard} /> : null}
          {found.length === 0 ? (
            <p className={styles.none}>
              Nothing here is called “{sought}”. Modules that reach files, processes or the
              interpreter are left out; an administrator can add others.
            </p>
          ) : null}
        </>
      ) : null}
    </Page>
  );
}

function PackageTable({ title, rows }: { title: string; rows: Package[] }) {
  const versions = rows.some(({ version }) => version !== null);
  return (
    <section className={styles.section} aria-label={title}>
      <h2>
        {title} <span className={styles.count}>{rows.length}</span>
      </h2>
      <div className={styles.card}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">Import</th>
              {versions ? <th scope="col">Version</th> : null}
              <th scope="col">For</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ module, version, reason }) => (
              <tr key={module}>
                <th scope="row">
                  <code>{module}</code>
                </th>
                {versions ? <td className={styles.version}>{version}</td> : null}
                <td>
                  <Prose text={reason} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
