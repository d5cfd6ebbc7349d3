/** Whether the keyboard says ⌘: the one thing in which systems differ here. */
export const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);
