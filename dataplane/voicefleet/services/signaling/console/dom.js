// Small words for the page's parts.

export const find = (id) => document.getElementById(id);

/** An element with attributes and children; text is never read as markup. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

export const milliseconds = (value) => (value === undefined || value === null ? "–" : `${Math.round(value)} ms`);

/** Keep the newest entries of a list that is shown, and keep its end in view. */
export function append(list, entry, most) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  list.append(entry);
  while (list.childElementCount > most) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}
