// Updates elements in place instead of replacing them.
//
// A click is lost if its link is replaced between the press and the release of the button; focus, selected text and
// scroll positions are lost with their elements. Therefore parts of the page are updated in place, row by row.

/** Identifies an element among its siblings; null if it has only its position. */
function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return null;
  const { key, job, label } = node.dataset;
  return key ?? job ?? label ?? (node.id || null);
}

const isAlike = (node, other) => node.nodeType === other.nodeType && node.nodeName === other.nodeName;

/**
 * Gives an element the attributes and content of another one.
 *
 * @param {boolean} setsInputs Whether form fields take the new values: false while the viewer may be filling them in.
 */
export function patch(shown, made, setsInputs = false) {
  // The viewer decides which lists are folded.
  const isKept = (name) => name === "open" && shown.matches("details");
  for (const { name } of [...shown.attributes]) {
    if (!made.hasAttribute(name) && !isKept(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of made.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  patchChildren(shown, made, setsInputs);
  if (setsInputs && shown.matches("input, select") && shown.value !== made.value) shown.value = made.value;
}

function patchChildren(shown, made, setsInputs) {
  const keys = new Set([...made.childNodes].map(keyOf));
  const keyed = new Map();
  for (const node of [...shown.childNodes]) {
    const key = keyOf(node);
    if (key === null) continue;
    if (keys.has(key)) keyed.set(key, node);
    else node.remove();
  }
  let next = shown.firstChild;
  for (const node of [...made.childNodes]) {
    const key = keyOf(node);
    const candidate = key === null ? next : keyed.get(key) ?? null;
    if (candidate === null || !isAlike(candidate, node) || keyOf(candidate) !== key) {
      shown.insertBefore(node, next);
      continue;
    }
    if (candidate === next) next = next.nextSibling;
    else shown.insertBefore(candidate, next);
    if (node.nodeType === Node.ELEMENT_NODE) patch(candidate, node, setsInputs);
    else if (candidate.data !== node.data) candidate.data = node.data;
  }
  while (next !== null) {
    const rest = next;
    next = next.nextSibling;
    rest.remove();
  }
}

/** Parses the elements of a part of the page. Scripts in it never run. */
export function elements(markup) {
  return [...new DOMParser().parseFromString(markup, "text/html").body.children];
}
