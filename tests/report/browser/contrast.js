// Every piece of text that is seen, with its colour, all that lies behind it, and the contrast that it needs. Colours behind it
// are those of ancestors, blended; a band of colour counts only where it lies behind the letters. Another background is an error.
() => {
  const rgba = (text) => {
    const found = text.match(/^rgba?\(([^)]+)\)$/);
    if (!found) throw new Error(`colour ${text}`);
    const n = found[1].split(/[ ,/]+/).filter(Boolean).map(Number);
    return [n[0], n[1], n[2], n[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = document.documentElement;
  const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  const light = (c) => [0, 1, 2].map((i) => c[i] / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const bands = (element, style, boxes) => {
    if (style.backgroundImage === "none") return [];
    const colours = style.backgroundImage.match(/rgba?\([^)]+\)/g);
    if (!style.backgroundImage.startsWith("linear-gradient") || !colours) throw new Error(style.backgroundImage);
    const height = Number.parseFloat(style.backgroundSize.split(" ")[1]);
    const box = element.getBoundingClientRect();
    const top = style.backgroundSize.endsWith("px") && style.backgroundPosition.endsWith("100%") ? box.bottom - height : box.top;
    return boxes.some((b) => b.bottom - 0.15 * b.height > top) ? colours.map(rgba) : [];
  };
  const behind = (element, boxes) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      layers.push([[rgba(style.backgroundColor)], bands(at, style, boxes)]);
      if (rgba(style.backgroundColor)[3] === 1) break;
    }
    let grounds = [canvas];
    for (const [[flat], extra] of layers.reverse()) {
      grounds = grounds.map((g) => over(flat, g));
      grounds = grounds.concat(...extra.map((e) => grounds.map((g) => over(e, g))));
    }
    return grounds;
  };
  const opacity = (element) => {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= getComputedStyle(at).opacity;
    return product;
  };
  const named = (e) => `${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}${[...e.classList].map((c) => "." + c).join("")}`;
  const said = [];
  const judge = (element, style, colour, boxes, text, least) => {
    const front = rgba(colour);
    front[3] *= opacity(element) * (style === getComputedStyle(element) ? 1 : Number(style.opacity));
    const worst = Math.min(...behind(element, boxes).map((g) => contrast(over(front, g), g)));
    said.push({of: `${named(element.parentElement)} > ${named(element)}`, text: text.slice(0, 40), contrast: worst, least});
    return worst >= least;
  };
  for (const element of document.querySelectorAll("body, body *")) {
    if (element.matches("script, style, title, option, .unseen, .skip")) continue;
    if (!element.checkVisibility({visibilityProperty: true})) continue;
    const style = getComputedStyle(element);
    const own = [...element.childNodes].filter((n) => n.nodeType === 3 && n.data.trim());
    if (own.length) {
      const range = document.createRange();
      const boxes = own.flatMap((n) => { range.selectNode(n); return [...range.getClientRects()]; });
      const size = Number.parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const colour = element instanceof SVGElement ? style.fill : style.color;
      const enough = judge(element, style, colour, boxes, own.map((n) => n.data).join(" ").trim(), large ? 3 : 4.5);
      element.dataset.contrast = enough ? "enough" : "low";
    }
    for (const pseudo of ["::before", "::after"]) {
      const made = getComputedStyle(element, pseudo);
      if (["none", "normal", '""'].includes(made.content)) continue;
      judge(element, made, made.color, [], `${pseudo} ${made.content}`, 3);
    }
  }
  return said;
}
