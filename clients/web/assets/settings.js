// What the user chose. The key stays in this tab; the rest is kept for the next visit.

const DEFAULTS = { device: "", loudspeaker: "", voice: "", replyLanguage: "auto", read: "on" };

/** Reads the settings; a key in the address (`#key=…`) is taken over and removed from it. */
export function loadSettings() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    sessionStorage.setItem("key", key);
    history.replaceState(null, "", location.pathname + location.search);
  }
  const settings = { key: sessionStorage.getItem("key") ?? "" };
  for (const [name, value] of Object.entries(DEFAULTS)) settings[name] = localStorage.getItem(name) ?? value;
  return settings;
}

export function saveSetting(settings, name, value) {
  settings[name] = value;
  (name === "key" ? sessionStorage : localStorage).setItem(name, value);
}
