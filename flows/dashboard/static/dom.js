// Elements without a framework: made once, kept by key, changed only where something changed.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "on") {
      for (const [kind, listener] of Object.entries(value)) element.addEventListener(kind, listener);
    } else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element with attributes and children; text is never read as markup. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

/** Set an element's text, if it is another one. */
export function say(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Set or remove an attribute, if it is another one. */
export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Keep one child for each item, in order; what has the focus is not made anew. */
export function keyed(container, items, keyOf, make, update) {
  const known = (container.kept ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, child] of known) {
    if (!wanted.has(key)) {
      child.remove();
      known.delete(key);
    }
  }
  let place = container.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let child = known.get(key);
    if (!child) {
      child = make(item);
      known.set(key, child);
    }
    update?.(child, item);
    if (child === place) place = place.nextElementSibling;
    else container.insertBefore(child, place);
  }
}

/** A table: titles, and rows of cells, each a text, an element, or a list of both. */
export function table(caption, titles, rows) {
  const numeric = titles.map((title) => title.startsWith("#"));
  const cell = (value, place) => h(place === 0 ? "th" : "td", { scope: place === 0 ? "row" : null, class: numeric[place] ? "number" : null }, value);
  return h(
    "table",
    {},
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, titles.map((title, place) => h("th", { scope: "col", class: numeric[place] ? "number" : null }, title.replace("#", ""))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))),
  );
}

/** Show new content in place of the old, unless what it is made of is the same. */
export function replace(container, signature, make) {
  const text = JSON.stringify(signature);
  if (container.signature === text) return;
  container.signature = text;
  container.replaceChildren(...[make()].flat());
}
