// Theme, charts, tables, and the live page's news. Loaded in the head, so that the theme is set before the first paint.
"use strict";
(() => {
  const root = document.documentElement;
  const plotly = document.currentScript.dataset.plotly;
  const remembered = { get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
                       set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* as long as this page */ } } };

  // Theme: what was chosen here before, else what the system says.

  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => remembered.get("kernelwright-theme");
  const wanted = () => chosen() || (system.matches ? "dark" : "light");
  root.dataset.theme = wanted();
  system.addEventListener("change", () => wear(wanted()));

  function wear(theme) {
    root.dataset.theme = theme;
    draw();
  }

  function toggle() {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    remembered.set("kernelwright-theme", theme);
    wear(theme);
  }

  // Charts: drawn after the first paint. "@kept" in a figure stands for the theme's colour of that name.

  let drawing = Promise.resolve();
  let library;

  function load() {
    library ||= new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = plotly;
      script.onload = done;
      script.onerror = () => failed(new Error(`cannot load ${plotly}`));
      document.head.append(script);
    });
    return library;
  }

  function palette() {
    const probe = document.createElement("i");
    document.body.append(probe);
    const found = new Map();
    const colour = (name) => {
      if (!found.has(name)) {
        probe.style.color = `var(--${name})`;
        found.set(name, getComputedStyle(probe).color);
      }
      return found.get(name);
    };
    return { colour, close: () => probe.remove() };
  }

  function painted(value, colour) {
    if (typeof value === "string") return value.startsWith("@") ? colour(value.slice(1)) : value;
    if (Array.isArray(value)) return value.map((item) => painted(item, colour));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, colour)]));
  }

  function dressed(layout, colour) {
    const axis = { gridcolor: colour("grid"), linecolor: colour("grid"), tickcolor: colour("grid"), automargin: true };
    const titled = (given = {}) => ({ ...axis, ...given, title: { standoff: 10, font: { size: 12 }, ...given.title } });
    return {
      margin: { l: 48, r: 18, t: 24, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
      hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("grid"), font: { color: colour("ink"), size: 12 }, align: "left" },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
      showlegend: false,
      ...layout, xaxis: titled(layout.xaxis), yaxis: titled(layout.yaxis),
    };
  }

  const still = { displayModeBar: false, responsive: true, doubleClick: "reset" };

  function figures() {
    const text = document.getElementById("figures")?.textContent;
    return text ? JSON.parse(text) : {};
  }

  function drawNow() {
    const { colour, close } = palette();
    const all = figures();
    for (const place of document.querySelectorAll("[data-chart]")) {
      const { data, layout } = painted(all[place.dataset.chart], colour);
      Plotly.react(place, data, { ...dressed(layout, colour), width: place.clientWidth, height: place.clientHeight }, still);
    }
    close();
    root.dataset.drawn = root.dataset.theme;
    performance.mark("drawn");
  }

  function draw() {
    if (!document.querySelector("[data-chart]")) return;
    drawing = load().then(drawNow);
    drawing.catch((error) => console.error(error));
  }

  const afterPaint = (work) => requestAnimationFrame(() => setTimeout(work));

  // Printing: on paper all is light, and as wide as the paper.

  addEventListener("beforeprint", () => {
    root.dataset.theme = "light";
    root.classList.add("printing");
    for (const details of document.querySelectorAll("details")) details.open = true;
    if (window.Plotly) drawNow();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    wear(wanted());
  });

  // Tables: sorted by a click on a column's head, filtered by words and by fate. Both outlive the live page's news.

  const sorted = new Map(); // a table's place on the page -> { column, down }
  const collator = new Intl.Collator("en", { numeric: true });

  function key(row, column, text) {
    const cell = row.cells[column];
    if (text) return cell.textContent.trim();
    const shown = cell.dataset.v ?? cell.textContent.trim();
    return shown === "" ? NaN : Number(shown);
  }

  function compare(a, b, text, down) {
    if (text) return down ? collator.compare(b, a) : collator.compare(a, b);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // what has no figure comes last
    return down ? b - a : a - b;
  }

  function sort(table, column, down) {
    const head = table.tHead.rows[0].cells[column];
    const text = head.dataset.sort === "text";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, key: key(row, column, text) }));
    rows.sort((a, b) => compare(a.key, b.key, text, down));
    body.append(...rows.map(({ row }) => row));
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  function tables() {
    [...document.querySelectorAll("table.sortable")].forEach((table, place) => {
      for (const head of table.querySelectorAll("th[data-sort]")) {
        head.tabIndex = 0;
        const act = () => {
          const before = sorted.get(place);
          const first = head.dataset.sort !== "text"; // figures start with the largest
          const down = before?.column === head.cellIndex ? !before.down : first;
          sorted.set(place, { column: head.cellIndex, down });
          sort(table, head.cellIndex, down);
        };
        head.addEventListener("click", act);
        head.addEventListener("keydown", (event) => {
          if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); }
        });
      }
      const before = sorted.get(place);
      if (before) sort(table, before.column, before.down);
    });
  }

  const filter = { words: "", only: "" };

  function filters() {
    const find = document.getElementById("find");
    const only = document.getElementById("only");
    if (!find) return;
    find.value = filter.words;
    only.value = filter.only;
    find.addEventListener("input", () => { filter.words = find.value; sift(); });
    only.addEventListener("change", () => { filter.only = only.value; sift(); });
    sift();
  }

  function sift() {
    const words = filter.words.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.querySelectorAll("#problems tbody tr")];
    let shown = 0;
    for (const row of rows) {
      const text = words.length ? row.textContent.toLowerCase() : "";
      row.hidden = !words.every((word) => text.includes(word)) || (filter.only && !row.classList.contains(filter.only));
      shown += !row.hidden;
    }
    document.getElementById("count").textContent = shown === rows.length ? `${rows.length}` : `${shown} of ${rows.length}`;
  }

  // Live: ask how far the run is; where it went on, fetch this page again and put its new content in place.

  const EVERY = 2000; // milliseconds
  let seen;

  async function news() {
    try {
      const state = await (await fetch(root.dataset.live, { cache: "no-store" })).json();
      tell(`${state.done} of ${state.total} done`, state.done === state.total ? "over" : "on");
      if (seen !== undefined && seen !== state.version) await renew();
      seen = state.version;
    } catch {
      tell("connection lost: is kernelwright serve still there?", "lost");
    }
    setTimeout(news, EVERY);
  }

  function tell(text, state) {
    const place = document.getElementById("state");
    place.textContent = text;
    place.dataset.state = state;
  }

  async function renew() {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const open = [...document.querySelectorAll("details")].map((details) => details.open);
    document.querySelector("main").replaceWith(page.querySelector("main"));
    [...document.querySelectorAll("details")].forEach((details, at) => { details.open = open[at] ?? false; });
    tables();
    filters();
    draw();
  }

  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", toggle);
    tables();
    filters();
    afterPaint(draw);
    if (root.dataset.live) news();
  });
})();
