"use strict";
(() => {
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")].map((figure) => ({
    canvas: figure.querySelector(".canvas"),
    spec: JSON.parse(figure.querySelector("script").textContent),
  }));

  // Colours of figures are names of the page's: they follow light, dark and paper.
  const PAPER = 640, PAPER_SMALL = 200; // pixels of a sheet, whatever the window is
  const TALL = 300, PRESSED = 0.7, PRESSED_SMALL = 0.8; // so that more find room on a sheet
  const named = /^var\((--[a-z0-9-]+)\)$/;
  const painted = (value, style) => {
    if (typeof value === "string") {
      const match = named.exec(value);
      return match ? style.getPropertyValue(match[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((each) => painted(each, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, painted(each, style)]));
    }
    return value;
  };
  const merged = (under, over) => {
    const made = { ...under };
    for (const [key, value] of Object.entries(over)) {
      const both = value && made[key] && typeof value === "object" && typeof made[key] === "object";
      made[key] = both && !Array.isArray(value) ? merged(made[key], value) : value;
    }
    return made;
  };
  const axis = (width) => ({
    gridcolor: "var(--rule)", linecolor: "var(--rule)", zeroline: false, automargin: true,
    tickfont: { color: "var(--muted)", size: width < 240 ? 9 : 12 }, ticks: "", exponentformat: "e",
    title: { font: { color: "var(--muted)", size: 12.5 }, standoff: 12 },
  });
  const usual = (width) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "var(--ink)" },
    margin: { l: 48, r: width < 480 ? 12 : 24, t: 12, b: 44, pad: 2 }, hovermode: "closest",
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", xanchor: "left", itemclick: false,
      itemdoubleclick: false, font: { size: 12, color: "var(--muted)" }, bgcolor: "rgba(0,0,0,0)" },
    hoverlabel: { bgcolor: "var(--paper)", bordercolor: "var(--rule)", align: "left",
      font: { color: "var(--ink)", size: 12 } },
    xaxis: axis(width), yaxis: axis(width), dragmode: false,
  });
  let turn = 0, printing = false;
  const draw = async ({ canvas, spec }) => {
    const style = getComputedStyle(root);
    const small = canvas.closest(".smalls") !== null;
    const room = small ? PAPER_SMALL : PAPER;
    const width = printing ? Math.min(canvas.clientWidth, room) : canvas.clientWidth;
    const whole = Number(canvas.dataset.height);
    const pressed = small ? PRESSED_SMALL : whole >= TALL ? PRESSED : 1;
    const height = printing ? Math.round(whole * pressed) : whole;
    canvas.style.height = `${height}px`;
    const layout = merged(usual(width), { ...spec.layout, width, height });
    await Plotly.react(canvas, painted(spec.data, style), painted(layout, style),
      { displayModeBar: false, displaylogo: false, showTips: false, scrollZoom: false });
    canvas.dataset.drawn = "yes";
  };
  const drawAll = async () => {
    const mine = ++turn;
    root.dataset.drawn = "no";
    for (const plot of plots) {
      if (mine !== turn) return; // somebody began anew
      try { await draw(plot); } catch (error) { plot.canvas.textContent = `Not drawn: ${error.message}`; console.error(error); }
      await new Promise((next) => setTimeout(next, 0));
    }
    root.dataset.drawn = "yes";
  };
  const drawNow = () => { turn++; plots.forEach((plot) => { draw(plot); }); root.dataset.drawn = "yes"; };

  let width = root.clientWidth, timer = 0;
  addEventListener("resize", () => {
    if (root.clientWidth === width) return; // a phone's address bar comes and goes
    width = root.clientWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 120);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  const paper = (begins) => { printing = begins; drawNow(); }; // a printer waits for no one
  matchMedia("print").addEventListener("change", (event) => { paper(event.matches); });
  addEventListener("beforeprint", () => { paper(true); });
  addEventListener("afterprint", () => { paper(false); });
  drawAll();

  const fallback = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) throw new Error("copying is not allowed here");
  };
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.closest(".snippet").querySelector("code");
      try {
        try { await navigator.clipboard.writeText(code.textContent); } catch { fallback(code.textContent); }
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }

  const compare = (one, other, sign) => {
    if (one === "" || other === "") return one === other ? 0 : one === "" ? 1 : -1; // gaps stay last
    const [a, b] = [Number(one), Number(other)];
    const order = Number.isNaN(a) || Number.isNaN(b) ? one.localeCompare(other, "en", { numeric: true }) : a - b;
    return sign * order;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].dataset.value;
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => compare(value(a), value(b), sign)));
    }));
  }
})();
