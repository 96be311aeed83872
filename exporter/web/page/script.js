// Keeps a page live, and adds keys. Without it all pages work, by links and forms.
"use strict";
(() => {
  const root = document.documentElement;
  const THEMES = ["system", "dark", "light"];
  const RETRY_LIMIT = 30000; // ms between two attempts to connect, at most
  const SHORTEST = 1000; // ms between two updates of a page, at least: a demo has two cycles a second
  const HIDDEN = 30000; // ms between two updates of a hidden tab, which holds no stream: browsers allow six to a host
  const byId = (id) => document.getElementById(id);

  // Before the first paint, so that no page flashes in the other theme. Storage can be forbidden.
  let theme = "system";
  try { theme = localStorage.getItem("theme") || theme; } catch { /* then it lasts for this page */ }
  const paint = () => {
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
    if (byId("theme")) byId("theme").textContent = `theme: ${theme}`;
  };
  paint();
  root.classList.add("live-script");

  const nextTheme = () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { if (theme === "system") localStorage.removeItem("theme"); else localStorage.setItem("theme", theme); } catch { /* as above */ }
    paint();
  };

  // Updates: the page is fetched again, and only what differs is changed, so that focus, selection, scroll positions
  // and open details stay. Nodes with data-key are matched by it, others by their place.
  const keyOf = (node) => (node.nodeType === 1 ? node.dataset.key || node.id : "");

  const sameKind = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  function syncAttributes(old, fresh) {
    for (const { name } of [...old.attributes]) {
      const isOurs = name === "open" || (name === "class" && old.classList.contains("changed"));
      if (!fresh.hasAttribute(name) && !isOurs) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }

  function sync(old, fresh) {
    if (old.nodeType !== 1) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.isEqualNode(fresh)) return;
    if (old === document.activeElement && old.matches("input, select")) return; // somebody is choosing
    const word = old.dataset.word;
    syncAttributes(old, fresh);
    syncChildren(old, fresh);
    if (old.matches("input")) old.value = fresh.value;
    if (word !== undefined && word !== old.dataset.word) announce(old);
  }

  function syncChildren(old, fresh) {
    const keyed = new Map();
    for (const child of old.children) if (keyOf(child)) keyed.set(keyOf(child), child);
    const wanted = new Set([...fresh.children].map(keyOf).filter(Boolean));
    let next = old.firstChild;
    const skip = () => { // what the script added, and what is gone
      while (next && ((next.nodeType === 1 && next.matches(".copy")) || (keyOf(next) && !wanted.has(keyOf(next))))) {
        const following = next.nextSibling;
        if (!next.matches(".copy")) next.remove();
        next = following;
      }
    };
    for (const child of [...fresh.childNodes]) {
      skip();
      const match = keyOf(child) ? keyed.get(keyOf(child)) : next && sameKind(next, child) ? next : null;
      if (match && sameKind(match, child)) {
        if (match === next) next = next.nextSibling; else old.insertBefore(match, next);
        sync(match, child);
      } else {
        const added = old.insertBefore(document.importNode(child, true), next);
        if (added.nodeType === 1 && added.dataset.word !== undefined) announce(added);
      }
    }
    while (next) {
      const following = next.nextSibling;
      if (next.nodeType !== 1 || !next.matches(".copy")) next.remove();
      next = following;
    }
  }

  let changes = [];
  function announce(node) {
    changes.push(`${node.dataset.key === "verdict" ? "" : `${node.dataset.key}: `}${node.dataset.word}`);
    node.classList.remove("changed");
    requestAnimationFrame(() => node.classList.add("changed"));
    node.addEventListener("animationend", () => node.classList.remove("changed"), { once: true });
  }

  function report() {
    if (!changes.length) return;
    const more = changes.length > 3 ? ` and ${changes.length - 3} more` : "";
    byId("changes").textContent = `${changes.slice(0, 3).join(", ")}${more}`;
    changes = [];
  }

  function show(fresh) {
    const row = document.activeElement?.matches("[data-row]") ? keyOf(document.activeElement.closest("[data-key]")) : "";
    document.title = fresh.title;
    const icon = document.querySelector("link[rel=icon]");
    const freshIcon = fresh.querySelector("link[rel=icon]").getAttribute("href");
    if (icon.getAttribute("href") !== freshIcon) icon.setAttribute("href", freshIcon);
    sync(byId("main"), document.importNode(fresh.getElementById("main"), true));
    sync(document.querySelector("footer"), fresh.querySelector("footer"));
    addCopyButtons();
    report();
    // A row that moves to another group is a new node.
    if (row && document.activeElement === document.body) {
      document.querySelector(`[data-key="${CSS.escape(row)}"] [data-row]`)?.focus({ preventScroll: true });
    }
  }

  let running = null; // the request under way
  let updatedAt = 0;
  let pending = 0;
  async function update() {
    clearTimeout(pending);
    running?.abort();
    const request = running = new AbortController();
    updatedAt = performance.now();
    try {
      const answer = await fetch(location.href, { signal: request.signal, headers: { Accept: "text/html" } });
      if (!answer.ok && answer.status !== 404) throw new Error(`status ${answer.status}`);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!fresh.getElementById("main")) throw new Error("another page");
      if (running === request) show(fresh);
      return true;
    } catch (error) {
      if (error.name !== "AbortError") notLive();
      return error.name === "AbortError";
    }
  }

  function updateSoon() {
    clearTimeout(pending);
    pending = setTimeout(update, Math.max(SHORTEST - (performance.now() - updatedAt), 0));
  }

  // The stream
  let stream = null;
  let attempts = 0;
  let retry = 0;
  let watchdog = 0;
  let brokenSince = null;

  function live() {
    attempts = 0;
    brokenSince = null;
    byId("stale").hidden = true;
    byId("live").className = "live";
    byId("live").textContent = "live";
  }

  function notLive() {
    brokenSince ??= new Date();
    byId("live").className = "live broken";
    byId("live").textContent = "not live";
    byId("stale").className = "notice bad";
    const text = `Not live since ${brokenSince.toLocaleTimeString()}: the exporter does not answer. What is shown is older; connecting again.`;
    if (byId("stale").textContent !== text) byId("stale").textContent = text;
    byId("stale").hidden = false;
  }

  function disconnect() {
    clearTimeout(retry);
    clearTimeout(watchdog);
    stream?.close();
    stream = null;
  }

  function connect() {
    disconnect();
    if (document.hidden) {
      retry = setTimeout(async () => { if (await update()) live(); connect(); }, HIDDEN);
      return;
    }
    stream = new EventSource(`${root.dataset.root}live`);
    stream.onopen = () => { if (brokenSince) updateSoon(); live(); };
    stream.onerror = lost;
    stream.addEventListener("cycle", (event) => {
      live();
      updateSoon();
      clearTimeout(watchdog);
      const seconds = Number(JSON.parse(event.data).interval) || 60;
      watchdog = setTimeout(lost, Math.max(4 * seconds, 30) * 1000); // a proxy can hold a connection that is dead
    });
  }

  function lost() {
    notLive();
    disconnect();
    // The browser's own retry gives up for good after an answer such as 502.
    retry = setTimeout(connect, Math.min(1000 * 2 ** attempts++, RETRY_LIMIT) * (0.75 + Math.random() / 2));
  }

  // Filters are applied while they are typed, and stand in the address bar.
  function applyFilter(form) {
    const query = new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && !(name === "sort" && value === "name")));
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    update();
  }

  function onInput(event) {
    const form = event.target.closest("form.filter");
    if (!form) return;
    clearTimeout(form.waiting);
    form.waiting = setTimeout(() => applyFilter(form), event.target.type === "search" ? 200 : 0);
  }

  // Keys
  function moveFocus(by) {
    const rows = [...document.querySelectorAll("[data-row]")];
    if (!rows.length) return;
    const place = rows.indexOf(document.activeElement);
    const target = rows[Math.min(Math.max(place < 0 ? (by > 0 ? 0 : rows.length - 1) : place + by, 0), rows.length - 1)];
    target.focus();
    target.closest("[data-key]").scrollIntoView({ block: "nearest" });
  }

  let cameFrom = ""; // no request has a referrer
  try { cameFrom = sessionStorage.getItem("left") || ""; } catch { /* as above */ }
  addEventListener("pagehide", () => {
    try { sessionStorage.setItem("left", location.href); } catch { /* as above */ }
  });

  function goBack() {
    const back = document.querySelector("[data-back]");
    if (!back) return;
    // The browser has the filter and the scroll position of the page before, if that was the fleet.
    if (cameFrom.split("?")[0] === back.href) history.back(); else location.assign(back.href);
  }

  function follow(name) {
    const link = document.querySelector(`[data-go=${name}]`);
    if (!link) return;
    history.replaceState(null, "", link.getAttribute("href"));
    update();
  }

  const KEYS = {
    "/": () => byId("q")?.select(),
    j: () => moveFocus(1),
    k: () => moveFocus(-1),
    t: nextTheme,
    "?": () => byId("keys").showModal(),
    "+": () => follow("in"),
    "=": () => follow("in"),
    "-": () => follow("out"),
    "[": () => follow("earlier"),
    "]": () => follow("later"),
  };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    const isTyping = event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      if (isTyping || event.target.matches("[data-row]")) event.target.blur(); else goBack();
    } else if (!isTyping && KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key]();
    }
  }

  async function copy(button) {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch { // over plain HTTP there is no clipboard; a selection can be copied by hand
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }

  function addCopyButtons() {
    for (const code of document.querySelectorAll(".command code:only-child")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "copy";
      button.setAttribute("aria-label", `Copy ${code.textContent}`);
      code.after(button);
    }
  }

  addEventListener("DOMContentLoaded", () => {
    paint();
    for (const id of ["live", "theme", "help"]) byId(id).hidden = false;
    byId("theme").addEventListener("click", nextTheme);
    byId("help").addEventListener("click", KEYS["?"]);
    document.addEventListener("keydown", onKey);
    document.addEventListener("input", onInput);
    document.addEventListener("submit", (event) => {
      if (event.target.matches("form.filter")) { event.preventDefault(); applyFilter(event.target); }
    });
    document.addEventListener("click", (event) => {
      if (event.target.matches("button.copy")) copy(event.target);
      const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
      if (isPlain && event.target.closest("[data-back]")) { event.preventDefault(); goBack(); }
      const zoom = event.target.closest(".zoom a");
      if (isPlain && zoom) {
        event.preventDefault();
        history.replaceState(null, "", zoom.getAttribute("href"));
        update();
      }
    });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) updateSoon(); connect(); });
    addCopyButtons();
    connect();
  });
})();
