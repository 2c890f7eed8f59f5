"use strict";
// Tables that sort, links into what is folded, and the chooser. The page says everything without this, too.
(() => {
  document.documentElement.classList.add("with-script");

  const valueOf = (cell) => {
    const text = (cell.dataset.key ?? cell.textContent).trim();
    const found = Number.parseFloat(text.replaceAll("−", "-").replace(/^[<>≤]\s*/, ""));
    return { text, number: Number.isNaN(found) ? null : found };
  };

  const isMissing = (value) => value.text === "" || value.text === "–";

  // what is missing stays last, whichever way a column is sorted; words come after numbers
  const compare = (a, b, sign) => {
    if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
    if (a.number !== null && b.number !== null) return sign * (a.number - b.number);
    if (a.number === null && b.number === null) return sign * a.text.localeCompare(b.text);
    return sign * (a.number === null ? 1 : -1);
  };

  const sortBy = (table, index, header) => {
    const body = table.tBodies[0];
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows];
    const [plain, spanning] = [rows.filter((r) => r.cells[index]), rows.filter((r) => !r.cells[index])];
    plain.sort((a, b) => compare(valueOf(a.cells[index]), valueOf(b.cells[index]), down ? -1 : 1));
    for (const row of [...plain, ...spanning]) {
      row.classList.remove("group");
      body.append(row);
    }
  };

  const makeSortable = (table) => {
    if (!table.tHead || !table.tBodies.length || table.tBodies[0].rows.length < 2) return;
    [...table.tHead.rows[0].cells].forEach((header, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sortBy(table, index, header));
    });
  };

  const unfold = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView();
    if (target.tagName === "DETAILS") target.querySelector("summary").focus({ preventScroll: true });
  };

  const SVG = "http://www.w3.org/2000/svg";
  const draw = (parent, name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };

  const ticks = (low, high) => {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high + 1e-9; at += 1) found.push(Number((at * step).toPrecision(6)));
    return found;
  };

  const chooser = (section, sets) => {
    const form = section.querySelector("form");
    const boxes = form.querySelector(".boxes");
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const field = (name) => form.elements[name];
    const set = () => sets[field("dataset").value];

    const fill = (name, entries) => {
      const before = field(name).value;
      field(name).replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
      if (entries.some(([value]) => value === before)) field(name).value = before;
      field(name).disabled = entries.length < 2;
    };

    const fillMethods = () => {
      boxes.replaceChildren(
        ...set().methods.map((method) => {
          const label = document.createElement("label");
          const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true, value: method.id });
          const name = document.createElement("span");
          name.innerHTML = method.name; // escaped where the page was made
          label.append(box, " ", name);
          return label;
        }),
      );
    };

    const chosen = () => {
      const shown = new Set([...boxes.querySelectorAll("input:checked")].map((box) => box.value));
      const values = set().metrics[field("metric").value].values[field("structure").value][field("budget").value];
      return set().methods.filter((m) => shown.has(m.id) && values[m.id]).map((m) => ({ method: m, values: values[m.id] }));
    };

    const show = (number) => (number === null ? "–" : number.toPrecision(3).replace("-", "−"));

    const chart = (rows) => {
      const holder = section.querySelector(".chart");
      holder.replaceChildren();
      if (!rows.length) return;
      const width = Math.max(320, Math.min(1100, holder.clientWidth));
      const [right, step] = [14, 30];
      const height = rows.length * step + 46;
      const all = rows.flatMap(({ values }) => [values[0], ...values[3]]).filter((v) => v !== null);
      const room = 0.06 * (Math.max(...all) - Math.min(...all) || 1);
      const [low, high] = [Math.min(...all) - room, Math.max(...all) + room];
      const svg = draw(holder, "svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
      const labels = rows.map(({ method }, i) => {
        const label = draw(svg, "text", { y: 8 + (i + 0.5) * step, "text-anchor": "end", class: "name" });
        for (const piece of method.name.split(/<sup>|<\/sup>/).entries()) {
          const text = new DOMParser().parseFromString(`<p>${piece[1]}</p>`, "text/html").body.textContent;
          draw(label, "tspan", piece[0] % 2 ? { dy: -4, "font-size": "9" } : piece[0] ? { dy: 4 } : {}, text);
        }
        return label;
      });
      const widest = Math.max(...labels.map((label) => label.getComputedTextLength()));
      const left = Math.min(width * 0.5, widest + 12);
      for (const label of labels) {
        label.setAttribute("x", left - 8);
        if (widest > left - 12) label.style.fontSize = `${(13 * (left - 12)) / widest}px`; // a phone
      }
      const x = (v) => left + ((Math.min(high, Math.max(low, v)) - low) / (high - low)) * (width - left - right);
      const metric = set().metrics[field("metric").value];
      draw(svg, "title", {}, `${metric.title}, ${rows.length} methods; the table below holds the numbers`);
      for (const tick of ticks(low, high)) {
        draw(svg, "line", { x1: x(tick), x2: x(tick), y1: 4, y2: height - 38, class: "grid" });
        draw(svg, "text", { x: x(tick), y: height - 22, "text-anchor": "middle" }, show(tick));
      }
      draw(svg, "text", { x: left, y: height - 5 }, `${metric.title}, ${metric.better} is better`);
      rows.forEach(({ method, values }, i) => {
        const y = 4 + (i + 0.5) * step;
        const colour = dark.matches ? method.dark : method.light;
        values[3].forEach((v, r) => {
          if (v === null) return;
          const dot = draw(svg, "circle", { cx: x(v), cy: y + ((r % 5) - 2) * 2.5, r: 3.5, fill: colour, "fill-opacity": 0.55 });
          draw(dot, "title", {}, `${set().repeats[r]}: ${show(v)}`);
        });
        if (values[0] === null) return;
        if (values[1] !== null) draw(svg, "line", { x1: x(values[1]), x2: x(values[2]), y1: y, y2: y, class: "interval" });
        draw(svg, "path", { d: `M${x(values[0])} ${y - 6}l6 6-6 6-6-6z`, class: "mean", stroke: colour });
      });
    };

    const table = (rows) => {
      const holder = section.querySelector("table.chosen");
      const head = document.createElement("thead");
      const titles = head.insertRow();
      for (const title of ["Method", "Mean", "Interval", ...set().repeats]) {
        titles.append(Object.assign(document.createElement("th"), { scope: "col", textContent: title }));
      }
      const body = document.createElement("tbody");
      for (const { method, values } of rows) {
        const row = body.insertRow();
        const name = Object.assign(document.createElement("th"), { scope: "row" });
        name.innerHTML = method.name;
        row.append(name);
        const mean = row.insertCell();
        const link = Object.assign(document.createElement("a"), { textContent: show(values[0]) });
        link.href = `#${method.runs[field("budget").value]}`;
        mean.append(link);
        row.insertCell().textContent = values[1] === null ? "–" : `[${show(values[1])}, ${show(values[2])}]`;
        for (const v of values[3]) row.insertCell().textContent = show(v);
      }
      holder.replaceChildren(head, body);
      makeSortable(holder);
    };

    const update = () => {
      const rows = chosen();
      chart(rows);
      table(rows);
    };

    const refill = () => {
      fill("metric", Object.entries(set().metrics).map(([key, metric]) => [key, metric.title]));
      fill("budget", set().budgets);
      fill("structure", Object.keys(set().metrics[field("metric").value].values).map((name) => [name, name]));
    };

    fill("dataset", Object.entries(sets).map(([key, one]) => [key, one.title]));
    refill();
    fillMethods();
    update();
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", (event) => {
      refill();
      if (event.target.name === "dataset") fillMethods();
      update();
    });
    dark.addEventListener("change", update);
    window.addEventListener("resize", update);
  };

  document.querySelectorAll("table.sortable:not(.chosen)").forEach(makeSortable);
  window.addEventListener("hashchange", unfold);
  unfold();
  const data = document.getElementById("choices");
  const section = document.getElementById("explore");
  if (data && section) {
    const sets = JSON.parse(data.textContent);
    if (Object.keys(sets).length) chooser(section, sets);
    else section.hidden = true;
  }
})();
